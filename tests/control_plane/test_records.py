"""Run records as ConfigMaps: the promises of the port, and what Kubernetes adds."""

from __future__ import annotations

import threading

import pytest
from job_templates import cronjob
from run_builders import ended, make_recipe, plan_of, spec_of

from controller.changes import request_cancel, request_retry
from controller.runners.kubernetes.records import ConfigMapRecords
from controller.state import RunStatus, State
from touge.contract.errors import AlreadyExists, Conflict, ObjectNotFound, RecipeError, SettingsError
from touge.contract.report import Verdict


def with_status(records, record, **fields):
    status = RunStatus(**({"state": State.FAILED, "retry": record.spec.retry} | fields))
    return records.update(record.model_copy(update={"status": status}))


def test_a_record_reads_back_equal(records):
    record = records.create(spec_of())
    changed = with_status(records, record, executions=(ended("train", 13, message="größer"),))

    assert records.read(record.run) == changed


def test_a_run_is_recorded_once(records):
    records.create(spec_of())

    with pytest.raises(AlreadyExists, match="exists already"):
        records.create(spec_of())


def test_a_change_to_an_old_version_is_refused(records):
    old = records.create(spec_of())
    records.update(old.model_copy(update={"spec": spec_of(cancel=True)}))

    with pytest.raises(Conflict, match="changed meanwhile"):
        with_status(records, old)


def test_of_many_writers_of_one_version_one_wins(records):
    record = records.create(spec_of())
    won = []

    def write(number: int) -> None:
        try:
            won.append(with_status(records, record, message=str(number)))
        except Conflict:
            return

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [records.read(record.run)] == won


def test_records_are_listed_from_the_oldest(records):
    for number, name in enumerate(["c", "a", "b"]):
        records.create(spec_of(plan_of(make_recipe(name=name))).model_copy(update={"created_us": number}))

    assert [record.run[0] for record in records.list()] == ["c", "a", "b"]
    assert [summary.run[0] for summary in records.summaries()] == ["c", "a", "b"]


def test_a_summary_tells_what_the_record_holds(records):
    record = records.create(spec_of().model_copy(update={"created_us": 7}))
    with_status(records, record, state=State.SUCCEEDED, reason="Completed", verdict=Verdict(passed=False, checks=()))

    (summary,) = records.summaries()

    assert (summary.created_us, summary.state, summary.reason) == (7, State.SUCCEEDED, "Completed")
    assert (summary.gate, summary.over) == ("failed", True)


def test_a_run_that_is_tried_again_is_queued_and_not_over(records):
    record = with_status(records, records.create(spec_of()))

    request_retry(records, record.run)

    assert [(s.state, s.over) for s in records.summaries()] == [(State.QUEUED, False)]


def test_cancelling_is_noted_in_the_spec(records):
    record = records.create(spec_of())

    assert request_cancel(records, record.run).spec.cancel


def test_an_unknown_run_is_not_found(records, namespace):
    with pytest.raises(ObjectNotFound, match=f"no run 'bend-1' in namespace {namespace}"):
        records.read("bend-1")


def test_somebody_elses_config_map_is_no_record(records, hands):
    hands.kubectl("create", "configmap", "theirs")

    with pytest.raises(SettingsError, match="no run record"):
        records.read("theirs")
    assert records.list() == []


def test_a_damaged_record_says_how_to_remove_it(records, hands):
    record = records.create(spec_of())
    hands.kubectl("patch", "configmap", record.run, "--patch", '{"data": {"plan": "{}"}}')

    with pytest.raises(SettingsError, match=f"kubectl delete configmap {record.run}"):
        records.read(record.run)


def test_deleting_twice_is_fine(records):
    record = records.create(spec_of())

    records.delete(record.run)
    records.delete(record.run)

    assert records.list() == []


def test_templates_are_those_of_the_submit_whatever_the_chart_becomes(records, hands):
    record = records.create(spec_of())
    hands.kubectl("set", "image", "cronjob/touge-train-lora", "stage=touge/train:9")
    hands.kubectl("delete", "cronjob", "touge-curate")

    kept = records.snapshot(record.run).templates

    assert kept["train-lora"].pod["spec"]["containers"][0]["image"] == "touge/train:0.1.0"
    assert set(kept) == {"curate", "train-lora", "evaluate"}


def test_a_run_whose_template_is_missing_is_not_recorded(records, hands):
    hands.kubectl("delete", "cronjob", "touge-train-lora")

    with pytest.raises(SettingsError, match="no Job template train-lora there; it has curate, evaluate"):
        records.create(spec_of())
    assert records.list() == []


def test_of_two_releases_the_one_that_is_named_is_used(records, hands, cluster, namespace):
    other = cronjob("train-lora")
    other["metadata"] |= {"name": "other-train", "namespace": namespace}
    other["metadata"]["labels"] |= {"app.kubernetes.io/instance": "other"}
    hands.kubectl("create", "--filename=-", given=other)

    with pytest.raises(SettingsError, match="train-lora: there are two of it"):
        records.create(spec_of())
    assert ConfigMapRecords(cluster, "touge").create(spec_of()).run == plan_of().run


def test_a_plan_that_is_too_large_is_refused_before_anything_is_made(records):
    drives = [{"format": "jsonl", "uri": f"file:///{'d' * 200}/{n}"} for n in range(3000)]

    with pytest.raises(RecipeError, match="name folders instead of single drives"):
        records.create(spec_of(plan_of(make_recipe(curate={"drives": drives}))))
    assert records.list() == []


def test_a_status_with_much_to_say_still_fits_and_keeps_every_execution(records):
    record = records.create(spec_of())
    tail = tuple("x" * 300 for _ in range(40))
    many = tuple(ended("curate-map", 30, shard, log_tail=tail, message="y" * 500) for shard in range(3000))

    with_status(records, record, executions=many)

    back = records.read(record.run).status.executions
    assert [(e.task.shard, e.exit_code) for e in back] == [(shard, 30) for shard in range(3000)]


def test_a_status_that_is_small_again_can_be_read_by_people_again(records, hands):
    record = records.create(spec_of())
    many = tuple(ended("curate-map", 30, shard, message="y" * 500) for shard in range(3000))
    record = with_status(records, record, executions=many)
    packed = hands.get("configmap", record.run)

    with_status(records, record)

    small = hands.get("configmap", record.run)
    assert ("status" in packed["data"], "status.gz" in packed["binaryData"]) == (False, True)
    assert ("status" in small["data"], "binaryData" in small) == (True, False)
