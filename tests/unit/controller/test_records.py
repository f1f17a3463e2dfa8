"""Run records in files: conditional updates, and messages for people."""

from __future__ import annotations

import threading

import pytest
from run_builders import make_recipe, plan_of, spec_of

from controller.changes import request_cancel, request_retry
from controller.records import FileRecords
from controller.state import RunStatus, State
from touge.contract.errors import AlreadyExists, Conflict, ObjectNotFound, SettingsError


@pytest.fixture
def records(tmp_path):
    return FileRecords(tmp_path / "home")


def finished(records, record, state=State.FAILED):
    return records.update(record.model_copy(update={"status": RunStatus(state=state, retry=record.spec.retry)}))


def test_a_record_reads_back_equal(records):
    record = records.create(spec_of())

    assert records.read(record.run) == record


def test_a_run_is_recorded_once(records):
    records.create(spec_of())

    with pytest.raises(AlreadyExists):
        records.create(spec_of())


def test_a_change_to_an_old_version_is_refused(records):
    old = records.create(spec_of())
    records.update(old)

    with pytest.raises(Conflict, match="changed meanwhile"):
        records.update(old)


def test_of_many_writers_of_one_version_one_wins(records):
    record = records.create(spec_of())
    won = []

    def write() -> None:
        try:
            won.append(records.update(record))
        except Conflict:
            return

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(won) == 1
    assert records.read(record.run).version == 2


def test_records_are_listed_from_the_oldest(records):
    for number, name in enumerate(["c", "a", "b"]):
        records.create(spec_of(plan_of(make_recipe(name=name))).model_copy(update={"created_us": number}))

    assert [record.run[0] for record in records.list()] == ["c", "a", "b"]


def test_an_unknown_run_is_not_found(records):
    with pytest.raises(ObjectNotFound, match="no run 'bend-1'"):
        records.read("bend-1")


def test_a_damaged_record_says_which_file_and_what_to_do(records):
    record = records.create(spec_of())
    (records.home / "runs" / record.run / "record.json").write_text("{}")

    with pytest.raises(SettingsError, match=r"no run record of this version.*or remove"):
        records.read(record.run)


def test_a_damaged_record_does_not_hide_the_others(records):
    record = records.create(spec_of())
    (records.home / "runs/broken").mkdir()
    (records.home / "runs/broken/record.json").write_text("{}")

    assert records.list() == [record]


def test_a_home_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "home").write_text("a file where a folder should be")

    with pytest.raises(SettingsError, match="set TOUGE_HOME"):
        FileRecords(tmp_path / "home").create(spec_of())


def test_deleting_twice_is_fine(records):
    record = records.create(spec_of())

    records.delete(record.run)
    records.delete(record.run)

    assert records.list() == []


def test_cancelling_is_noted_in_the_spec(records):
    record = records.create(spec_of())

    assert request_cancel(records, record.run).spec.cancel


def test_a_run_that_is_over_is_not_cancelled(records):
    record = finished(records, records.create(spec_of()))

    assert request_cancel(records, record.run) == record


def test_a_retry_takes_back_the_cancellation_and_counts_attempts_afresh(records):
    record = records.create(spec_of(cancel=True))
    finished(records, record, State.CANCELLED)

    again = request_retry(records, record.run)

    assert (again.spec.cancel, again.spec.retry, again.over) == (False, 1, False)


def test_a_run_that_goes_on_is_not_retried(records):
    record = records.create(spec_of())

    assert request_retry(records, record.run) == record
