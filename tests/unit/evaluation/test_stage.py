"""The stages `evaluate-map` and `evaluate`, from committed inputs to a committed report."""

import json

import pytest
from tiny_training import write_base

from touge.contract.artifacts import StageRef
from touge.contract.errors import CheckpointError, DataError, Interrupted
from touge.contract.report import Report
from touge.evaluation.stage import evaluate, evaluate_map
from touge.storage.execution import committed, read_progress

from .stages import MAP, REPORT, SHARDS, Bench


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def bench(tmp_path_factory, base):
    """A bench on which both stages have run."""
    found = Bench(tmp_path_factory.mktemp("bench"), base)
    found.prepare()
    for index in range(SHARDS):
        context = found.context("evaluate-map", index)
        context.execution.commit(evaluate_map(context))
    context = found.context("evaluate")
    context.execution.commit(evaluate(context))
    return found


@pytest.fixture
def fresh(tmp_path, base):
    found = Bench(tmp_path, base)
    found.prepare()
    return found


def artifact(bench, stage=REPORT):
    return committed(bench.store, StageRef(stage))


def report(bench) -> Report:
    return Report.read_json(artifact(bench).read("report.json"))


def test_the_shards_together_predict_every_test_window_once(bench):
    context = bench.context("evaluate")
    ids = [
        json.loads(line)["id"]
        for shard in context.shards("map")
        for line in shard.read("predictions/tuned.jsonl").splitlines()
    ]

    assert len(ids) == len(set(ids)) == 12
    assert all(name.startswith("test-") for name in ids)


def test_the_report_covers_all_windows_and_says_which_split(bench):
    found = report(bench)

    assert (found.windows["all"], found.windows["skipped"]) == (12, 0)
    assert found.model_extra["split"] == "test"
    assert found.model_extra["rollouts"] == {"base": [2, 2], "tuned": [2, 2]}


def test_two_drives_give_no_verdict_and_the_stage_still_succeeds(bench):
    assert artifact(bench).manifest.metadata["exit_code"] == 20
    assert report(bench).verdict.reason == "insufficient_clusters"


def test_provenance_names_models_stages_seeds_and_versions(bench):
    found = report(bench).provenance

    assert found["base"]["digest"] == bench.plan().base.digest
    assert found["stages"] == {"evaluate-map": MAP, "evaluate": REPORT}
    assert found["rollouts"]["sampling"]["seed"] == 0
    assert {"torch", "transformers", "peft"} <= found["rollouts"]["versions"].keys()
    assert (found["leakage"], found["tainted"]) == ("none", False)


def test_the_page_has_frames_and_the_loss_curve(bench):
    page = artifact(bench).read("report.html").decode()

    assert "data:image/jpeg;base64," in page
    assert "training loss by step" in page
    assert "No road is on two sides." in page


def test_progress_is_told(bench):
    context = bench.context("evaluate-map", 1)

    found = read_progress(bench.store, context.execution.ref, context.execution.name)

    assert (found.done, found.total, found.unit) == (12, 12, "window")


def test_the_same_windows_give_the_same_bytes(bench, fresh):
    again = fresh.context("evaluate-map", 0)
    evaluate_map(again)

    first = bench.context("evaluate").shards("map")[0].read("predictions/base.jsonl")
    assert fresh.store.get(again.execution.prefix + "predictions/base.jsonl") == first


def test_tainted_data_is_told_and_fails(tmp_path, base):
    tainted = Bench(tmp_path, base)
    tainted.prepare(tainted=True)
    for index in range(SHARDS):
        context = tainted.context("evaluate-map", index)
        context.execution.commit(evaluate_map(context))

    metadata = evaluate(tainted.context("evaluate"))

    assert (metadata["passed"], metadata["reason"]) == (False, "failed: data_not_tainted")


def test_a_bound_of_windows_a_drive_holds_for_both_stages_and_is_told(fresh):
    plan = fresh.plan(windows_per_drive=1)
    for index in range(SHARDS):
        context = fresh.context("evaluate-map", index, plan=plan)
        context.execution.commit(evaluate_map(context))
    context = fresh.context("evaluate", plan=plan)
    context.execution.commit(evaluate(context))

    found, said = report(fresh), "Of each drive at most 1 windows of a bucket count, evenly spaced"
    assert (found.windows["all"], found.windows["curve"], found.windows["skipped"]) == (4, 2, 0)
    (note,) = [note for note in found.model_extra["notes"] if note.startswith(said)]
    assert note.endswith(": 4 of the test split's 12.")
    assert said in artifact(fresh).read("report.html").decode()


def test_without_a_bound_nothing_is_said_of_one(bench):
    assert not [note for note in report(bench).model_extra["notes"] if "windows_per_drive" in note]


def test_a_shard_that_is_missing_is_named(fresh):
    with pytest.raises(DataError, match="shard 00000-of-00002"):
        evaluate(fresh.context("evaluate"))


def test_asked_to_stop_it_stops_resumably(fresh):
    with pytest.raises(Interrupted, match="stopped after 1 of 12 windows"):
        evaluate_map(fresh.context("evaluate-map", asked_to_stop=True))


def test_a_damaged_frame_is_named(fresh):
    key = next(info.key for info in fresh.store.list("stages/curate-0") if info.key.endswith(".tar"))
    data = bytearray(fresh.store.get(key))
    data[700] ^= 0xFF
    fresh.store.put(key, bytes(data))

    with pytest.raises(DataError, match="differs from the row's sha256"):
        evaluate_map(fresh.context("evaluate-map"))


def test_an_adapter_of_another_base_is_refused(fresh, tmp_path):
    other = write_base(tmp_path / "other")
    (other / "note.txt").write_text("another base")

    with pytest.raises(CheckpointError, match="trained on base"):
        evaluate_map(fresh.context("evaluate-map", plan=fresh.plan(base=other)))
