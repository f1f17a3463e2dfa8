"""The commit protocol over every store: overlapping executions, lost answers, frozen processes, damaged files."""

import itertools
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from s3_server import Fault

from touge.contract.artifacts import Shard, StageRef, folder_clash, is_key
from touge.contract.errors import DataError, InfrastructureError, Interrupted
from touge.contract.progress import Progress
from touge.storage.execution import (
    Execution,
    Outcome,
    committed,
    executions,
    newest_checkpoint,
    read_progress,
)
from touge.storage.local import LocalStore

REF = StageRef("train-0123")


def execution(store, name, ref=REF):
    ticks = itertools.count(1)
    return Execution(store, ref, name, lambda: next(ticks), pause=lambda _seconds: None)


def checkpoint_folder(tmp_path, content=b"weights"):
    folder = tmp_path / "checkpoint"
    folder.mkdir(exist_ok=True)
    (folder / "model").write_bytes(content)
    return folder


def keys(store, prefix=""):
    return [info.key for info in store.list(prefix)]


class LosesAnswers(LocalStore):
    """A store that does what it is told and then loses its answer."""

    def create(self, key, data):
        super().create(key, data)
        raise InfrastructureError("the connection was reset")


class Restarts(LocalStore):
    """A store that neither takes a mark nor answers for a while."""

    down = 0

    def create(self, key, data):
        self._answers()
        return super().create(key, data)

    def get(self, key):
        self._answers()
        return super().get(key)

    def _answers(self):
        self.down -= 1
        if self.down >= 0:
            raise InfrastructureError("connection refused")


def test_what_is_committed_is_read_back(store):
    work = execution(store, "run-1-a")
    work.write("result.json", b"{}")

    assert work.commit({"windows": 3}) == Outcome.WON
    artifact = committed(store, REF)
    assert artifact.read("result.json") == b"{}"
    assert artifact.manifest.metadata == {"windows": 3}


def test_nothing_is_committed_before_the_commit(store):
    execution(store, "run-1-a").write("result.json", b"{}")

    assert committed(store, REF) is None


def test_of_two_executions_at_once_one_wins_and_the_other_is_superseded(store):
    both = [execution(store, f"run-1-{name}") for name in "ab"]
    for work in both:
        work.write("result", work.name.encode())

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(lambda work: work.commit({}), both))

    assert outcomes == [Outcome.SUPERSEDED, Outcome.WON]
    artifact = committed(store, REF)
    assert artifact.manifest.execution.encode() == artifact.read("result")


def test_a_commit_whose_answer_is_lost_is_found_to_have_won(tmp_path):
    store = LosesAnswers(tmp_path)

    assert execution(store, "run-1-a").commit({}) == Outcome.WON


def test_a_frozen_execution_that_wakes_up_later_harms_nothing(store):
    frozen, quick = execution(store, "run-1-a"), execution(store, "run-2-b")
    frozen.write("result", b"old")
    quick.write("result", b"new")
    quick.commit({})

    before = {key: store.get(key) for key in keys(store, quick.prefix)}
    frozen.write("late", b"more")

    assert frozen.commit({}) == Outcome.SUPERSEDED
    assert committed(store, REF).read("result") == b"new"
    assert before == {key: store.get(key) for key in keys(store, quick.prefix)}
    assert store.get(frozen.prefix + "result") == b"old"


def test_a_store_that_comes_back_takes_the_commit(tmp_path):
    store = Restarts(tmp_path)
    store.down = 9

    assert execution(store, "run-1-a").commit({}) == Outcome.WON
    assert committed(store, REF)


def test_a_store_that_stays_away_is_an_infrastructure_error(tmp_path):
    store = Restarts(tmp_path)
    store.down = 1000

    with pytest.raises(InfrastructureError, match="not committed: connection refused"):
        execution(store, "run-1-a").commit({})


@pytest.mark.parametrize("status", [0, 500])
def test_a_commit_that_s3_did_and_did_not_answer_has_won(s3_server, status):
    store = s3_server.new_store()
    s3_server.fail(Fault("PUT", "committed.json", status, done=True))

    assert execution(store, "run-1-a").commit({}) == Outcome.WON
    assert committed(store, REF).manifest.execution == "run-1-a"


def test_a_commit_lost_to_another_while_s3_did_not_answer_is_superseded(s3_server):
    store = s3_server.new_store()
    execution(store, "run-2-b").commit({})
    s3_server.fail(Fault("PUT", "committed.json", 500))

    assert execution(store, "run-1-a").commit({}) == Outcome.SUPERSEDED


def test_a_commit_that_s3_finds_in_conflict_is_tried_again(s3_server):
    store = s3_server.new_store()
    s3_server.fail(Fault("PUT", "committed.json", 409, "ConditionalRequestConflict", times=3))

    assert execution(store, "run-1-a").commit({}) == Outcome.WON
    assert committed(store, REF)


def test_committing_twice_wins_twice(store):
    work = execution(store, "run-1-a")
    work.write("result", b"x")

    assert [work.commit({}), work.commit({})] == [Outcome.WON, Outcome.WON]
    assert committed(store, REF).read("result") == b"x"


def test_nothing_is_added_after_the_commit(store):
    work = execution(store, "run-1-a")
    work.commit({})

    with pytest.raises(DataError, match="after the manifest"):
        work.write("late", b"x")


def test_an_execution_of_a_cancelled_run_does_not_commit(store):
    with pytest.raises(Interrupted, match="cancelled"):
        execution(store, "run-1-a").commit({}, cancelled=lambda: True)
    assert committed(store, REF) is None


def test_a_damaged_file_is_refused(store):
    work = execution(store, "run-1-a")
    work.write("result", b"right")
    work.commit({})
    store.put(work.prefix + "result", b"wrong")

    with pytest.raises(DataError, match="sha256"):
        committed(store, REF).read("result")


def test_a_changed_manifest_is_refused(store):
    work = execution(store, "run-1-a")
    work.commit({})
    store.put(work.prefix + "manifest.json", b"{}")

    with pytest.raises(DataError, match="not what was committed"):
        committed(store, REF)


def test_a_commit_whose_manifest_is_gone_is_refused(store):
    work = execution(store, "run-1-a")
    work.commit({})
    store.delete(work.prefix + "manifest.json")

    with pytest.raises(DataError, match="is gone"):
        committed(store, REF)


def test_a_damaged_commit_mark_is_refused(store):
    store.put(REF.committed_key, b'{"stage": ')

    with pytest.raises(DataError, match="no commit mark"):
        committed(store, REF)


def test_a_file_that_the_artifact_does_not_have_is_named(store):
    work = execution(store, "run-1-a")
    work.write("result", b"x")
    work.commit({})

    with pytest.raises(DataError, match="no file 'resutl'; the manifest lists result"):
        committed(store, REF).read("resutl")


def test_a_damaged_file_is_not_left_where_it_was_fetched_to(store, tmp_path):
    work = execution(store, "run-1-a")
    work.write("result", b"right")
    work.commit({})
    store.put(work.prefix + "result", b"wrong")

    with pytest.raises(DataError, match="sha256"):
        committed(store, REF).fetch(tmp_path / "here")
    assert not (tmp_path / "here/result").exists()


@pytest.mark.parametrize(
    "name", ["", "../up", "/etc/passwd", "a//b", "manifest.json", "progress.json", "checkpoints/x"]
)
def test_a_file_name_of_another_place_or_of_the_protocol_is_refused(store, name):
    with pytest.raises(DataError, match="file"):
        execution(store, "run-1-a").write(name, b"x")
    assert keys(store) == []


@pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b", "a"), ("a/b/c", "a")])
def test_no_file_is_a_folder_of_another(store, first, second):
    work = execution(store, "run-1-a")
    work.write(first, b"x")

    with pytest.raises(DataError, match="folder of the other"):
        work.write(second, b"x")


def test_a_manifest_that_names_files_of_another_place_is_refused(store):
    work = execution(store, "run-1-a")
    work.commit({})
    manifest = json.loads(store.get(work.prefix + "manifest.json"))
    manifest["files"] = [{"name": "../../../other", "size": 1, "sha256": "0"}]
    checkpoint = work.prefix + "checkpoints/step-00000001/manifest.json"
    store.put(checkpoint, json.dumps(manifest).encode())

    assert newest_checkpoint(store, REF) is None


def test_fetching_verifies_each_file(store, tmp_path):
    work = execution(store, "run-1-a")
    work.write("a/one", b"1")
    work.commit({})

    folder = committed(store, REF).fetch(tmp_path / "here")

    assert (folder / "a/one").read_bytes() == b"1"


def test_shards_commit_apart(store):
    refs = [StageRef("curate-map-1", Shard(index, 2)) for index in range(2)]
    execution(store, "run-1-a", refs[0]).commit({})

    assert committed(store, refs[0])
    assert committed(store, refs[1]) is None


def test_the_newest_complete_checkpoint_of_any_execution_is_resumed_from(store, tmp_path):
    execution(store, "run-1-a").checkpoint(10, checkpoint_folder(tmp_path, b"ten"), {})
    execution(store, "run-2-b").checkpoint(20, checkpoint_folder(tmp_path, b"twenty"), {"loss": 1})

    newest = newest_checkpoint(store, REF)

    assert newest.step == 20
    assert newest.artifact.read("model") == b"twenty"


def test_a_checkpoint_without_a_manifest_is_not_resumed_from(store, tmp_path):
    work = execution(store, "run-1-a")
    work.checkpoint(10, checkpoint_folder(tmp_path), {})
    work.checkpoint(20, checkpoint_folder(tmp_path), {})
    store.delete(work.prefix + "checkpoints/step-00000020/manifest.json")

    assert newest_checkpoint(store, REF).step == 10


def test_a_checkpoint_with_a_truncated_file_is_not_resumed_from(store, tmp_path):
    work = execution(store, "run-1-a")
    work.checkpoint(10, checkpoint_folder(tmp_path), {})
    work.checkpoint(20, checkpoint_folder(tmp_path), {})
    store.put(work.prefix + "checkpoints/step-00000020/model", b"w")

    assert newest_checkpoint(store, REF).step == 10


def test_a_checkpoint_of_the_same_step_replaces_the_first(store, tmp_path):
    work = execution(store, "run-1-a")
    work.checkpoint(10, checkpoint_folder(tmp_path, b"first"), {})
    work.checkpoint(10, checkpoint_folder(tmp_path, b"second"), {})

    assert newest_checkpoint(store, REF).artifact.read("model") == b"second"


def test_no_checkpoint_is_found_where_there_is_none(store):
    execution(store, "run-1-a").write("checkpoint.txt", b"x")

    assert newest_checkpoint(store, REF) is None


def test_a_checkpoint_may_not_hold_a_file_with_the_manifests_name(store, tmp_path):
    folder = checkpoint_folder(tmp_path)
    (folder / "manifest.json").write_text("{}")

    with pytest.raises(DataError, match="name of the list"):
        execution(store, "run-1-a").checkpoint(1, folder, {})


def test_pruning_never_removes_the_last_complete_checkpoint(store, tmp_path):
    work = execution(store, "run-1-a")
    work.checkpoint(10, checkpoint_folder(tmp_path), {})
    store.put(work.prefix + "checkpoints/step-00000020/model", b"unfinished")

    work.prune_checkpoints(keep=1)

    assert newest_checkpoint(store, REF).step == 10


def test_pruning_removes_what_was_never_finished_once_it_is_old(store, tmp_path):
    work = execution(store, "run-1-a")
    store.put(work.prefix + "checkpoints/step-00000005/model", b"unfinished")
    work.checkpoint(10, checkpoint_folder(tmp_path), {})

    work.prune_checkpoints(keep=1)

    assert keys(store, work.prefix + "checkpoints/step-00000005/") == []


def test_pruning_keeps_the_newest_of_its_own_and_touches_no_other(store, tmp_path):
    mine, other = execution(store, "run-2-b"), execution(store, "run-1-a")
    other.checkpoint(5, checkpoint_folder(tmp_path), {})
    for step in (10, 20, 30):
        mine.checkpoint(step, checkpoint_folder(tmp_path), {})

    mine.prune_checkpoints(keep=1)

    kept = sorted(info.key.split("/")[-2] for info in store.list("stages/") if info.key.endswith("manifest.json"))
    assert kept == ["step-00000005", "step-00000030"]


def test_progress_is_read_while_the_execution_works(store):
    work = execution(store, "run-1-a")
    progress = Progress(done=1, total=4, unit="step", started_us=0, updated_us=2_000_000)

    work.report(progress)

    assert progress == read_progress(store, REF, work.name)
    assert executions(store, REF) == ("run-1-a",)


def test_progress_that_cannot_be_told_stops_no_work(s3_server):
    work = execution(s3_server.new_store(attempts=1), "run-1-a")
    s3_server.fail(Fault("PUT", "progress.json", 503, "SlowDown"))

    work.report(Progress(done=1, total=4, unit="step", started_us=0, updated_us=1))

    assert read_progress(work.store, REF, work.name) is None


def test_an_execution_writes_below_its_own_prefix_and_the_mark_only(store, tmp_path):
    work = execution(store, "run-1-a", StageRef("curate-map-1", Shard(3, 8)))
    work.write("a/b", b"x")
    work.report(Progress(done=1, total=1, unit="step", started_us=0, updated_us=1))
    work.checkpoint(1, checkpoint_folder(tmp_path), {})
    work.commit({})

    written = keys(store)
    assert [key for key in written if not key.startswith(work.prefix)] == [work.ref.committed_key]
    assert all(is_key(key) and folder_clash(key, written) is None for key in written)


@given(st.permutations(["a", "b", "c"]), st.integers(0, 3))
def test_whoever_commits_first_wins_in_any_order(tmp_path_factory, order, writes):
    store = LocalStore(tmp_path_factory.mktemp("store"))
    works = {name: execution(store, name) for name in order}
    for name, work in works.items():
        for number in range(writes):
            work.write(f"file-{number}", name.encode())

    outcomes = {name: works[name].commit({}) for name in order}

    assert [name for name in order if outcomes[name] == Outcome.WON] == order[:1]
    assert all(committed(store, REF).read(f"file-{n}") == order[0].encode() for n in range(writes))
