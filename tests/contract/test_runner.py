"""What every runner promises: one suite over all of them, with a real stage process that only pretends to work."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import fake_stage
import pytest
from run_builders import CODES, make_recipe, plan_of

from controller.runners.local import LocalRunner
from controller.runners.port import StartRequest
from controller.state import Execution, State, Task
from touge.contract.artifacts import StageRef
from touge.contract.plan import STAGE_NAMES, Plan
from touge.storage import open_store
from touge.storage.execution import committed, newest_checkpoint

FAKE = (sys.executable, str(Path(fake_stage.__file__)))
MAP = Task(stage="curate-map")


class Bench:
    """A runner, a store, a plan, and scripts for the stages."""

    def __init__(self, folder: Path) -> None:
        digests = folder / "digests.json"
        digests.write_text(json.dumps(CODES))
        self.folder = folder
        self.store = open_store(f"file://{folder}/store")
        self.plan: Plan = plan_of(
            make_recipe(curate={"drives": [{"format": "jsonl", "uri": "file:///d"}], "shards": 2})
        )
        environ = dict(os.environ) | {
            "TOUGE_CODE_DIGESTS": str(digests),
            "SECRET_OF_THE_SHELL": "x",
            "AWS_PROFILE": "p",
        }
        self.runner = LocalRunner(folder / "home", dict.fromkeys(STAGE_NAMES, FAKE), environ)

    def script(self, stage: str, words: str) -> None:
        (self.folder / f"{stage}.plan").write_text(words)

    def start(self, task: Task = MAP, attempt: int = 1) -> None:
        self.runner.start(StartRequest(self.plan, task, attempt, self.store.uri))

    def until(self, holds, seconds: float = 20) -> list[Execution]:
        """Observe until the condition holds for the executions."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            seen = self.runner.observe(self.plan.run)
            if holds(seen):
                return seen
            time.sleep(0.02)
        raise AssertionError(f"never so; last seen {self.runner.observe(self.plan.run)}")

    def wait(self) -> Execution:
        return self.until(lambda seen: all(e.ended for e in seen))[-1]

    def wait_for_log(self, text: str) -> None:
        self.until(lambda _: any(text in line for line in self.runner.logs(self.plan.run, None, lambda: False)))

    def artifact(self, task: Task = MAP):
        found = committed(self.store, task.ref(self.plan.stage(task.stage)))
        assert found is not None
        return found


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.runner.delete(bench.plan.run)


def test_an_execution_runs_commits_and_ends_with_zero(bench):
    bench.start()

    execution = bench.wait()

    assert (execution.state, execution.exit_code, execution.reason) == (State.SUCCEEDED, 0, "Completed")
    assert execution.started_us <= execution.ended_us
    assert bench.artifact().manifest.execution == f"{bench.plan.run}-1-{execution.uid}"


def test_an_attempt_is_started_once_however_often_it_is_asked_for(bench):
    bench.script("curate-map", "hang")
    for _ in range(3):
        bench.start()

    assert len(bench.runner.observe(bench.plan.run)) == 1


@pytest.mark.parametrize(("word", "code", "reason"), [
    ("fail:10", 10, "InvalidRecipe"),
    ("fail:13", 13, "GpuMemory"),
    ("fail:30", 30, "Infrastructure"),
    ("signal:6", 134, "Crashed"),
    ("signal:9", 137, "Killed"),
    ("signal:11", 139, "Crashed"),
])  # fmt: skip
def test_the_exit_code_arrives_as_a_pod_would_give_it(bench, word, code, reason):
    bench.script("curate-map", word)
    bench.start()

    execution = bench.wait()

    assert (execution.state, execution.exit_code, execution.reason) == (State.FAILED, code, reason)


def test_the_last_message_and_the_last_lines_of_a_failure_are_kept(bench):
    bench.script("curate-map", "data")
    bench.start()

    execution = bench.wait()

    assert execution.message == "drive 7 is empty: expected frames; remove it"
    assert any("working" in line for line in execution.log_tail)


def test_shards_are_told_apart(bench):
    for shard in (0, 1):
        bench.start(Task(stage="curate-map", shard=shard))

    bench.wait()

    for shard in (0, 1):
        environment = json.loads(bench.artifact(Task(stage="curate-map", shard=shard)).read("environment.json"))
        assert environment["JOB_COMPLETION_INDEX"] == str(shard)


def test_a_stage_sees_its_own_variables_and_the_stores_and_no_others(bench):
    bench.start()
    bench.wait()

    environment = json.loads(bench.artifact().read("environment.json"))

    assert environment["TOUGE_STAGE"] == "curate-map"
    assert environment["AWS_PROFILE"] == "p"
    assert "SECRET_OF_THE_SHELL" not in environment


def test_stopping_lets_a_stage_keep_its_checkpoint(bench):
    bench.script("curate-map", "checkpoint")
    bench.start()
    bench.wait_for_log("waiting")

    bench.runner.stop(bench.plan.run, MAP, 1)
    execution = bench.wait()

    assert (execution.exit_code, execution.reason) == (31, "Interrupted")
    checkpoint = newest_checkpoint(bench.store, MAP.ref(bench.plan.stage("curate-map")))
    assert checkpoint is not None
    assert checkpoint.step == 100


def test_killing_ends_a_stage_at_once(bench):
    bench.script("curate-map", "hang")
    bench.start()
    bench.wait_for_log("waiting")

    bench.runner.stop(bench.plan.run, MAP, 1, kill=True)

    assert bench.wait().exit_code == 137


def test_logs_are_told_while_they_are_written_and_to_the_end(bench):
    bench.script("curate", "checkpoint")
    bench.start(Task(stage="curate"))
    bench.wait_for_log("waiting")
    following = bench.runner.logs(
        bench.plan.run, "curate", lambda: any(not e.ended for e in bench.runner.observe(bench.plan.run))
    )

    first = next(following)
    bench.runner.stop(bench.plan.run, Task(stage="curate"), 1)
    rest = list(following)

    assert "working" in first
    assert "asked to stop" in rest[-1]


def test_deleting_kills_what_runs_and_forgets_it(bench):
    bench.script("curate-map", "hang")
    bench.start()
    bench.wait_for_log("waiting")

    bench.runner.delete(bench.plan.run)

    assert bench.runner.observe(bench.plan.run) == []


def test_stopping_what_is_over_does_nothing(bench):
    bench.start()
    before = bench.wait()

    bench.runner.stop(bench.plan.run, MAP, 1)

    assert bench.wait() == before


def keeper(bench: Bench) -> int:
    folder = bench.folder / "home/runs" / bench.plan.run / "executions/curate-map.00000.1"
    return json.loads((folder / "keeper.json").read_text())["pid"]


def test_a_stage_outlives_its_dead_keeper_and_is_lost_when_it_dies_too(bench):
    bench.script("curate-map", "hang")
    bench.start()
    bench.wait_for_log("waiting")

    os.kill(keeper(bench), signal.SIGKILL)
    alone = bench.until(lambda seen: seen[0].state is State.RUNNING)[0]
    bench.runner.stop(bench.plan.run, MAP, 1, kill=True)
    lost = bench.wait()

    assert alone.exit_code is None
    assert (lost.state, lost.reason, lost.exit_code) == (State.FAILED, "Lost", None)


def test_an_execution_whose_starter_died_before_there_was_a_keeper_is_lost(bench):
    folder = bench.folder / "home/runs" / bench.plan.run / "executions/curate-map.00000.1"
    folder.mkdir(parents=True)
    request = {"task": MAP.model_dump(), "attempt": 1, "uid": "u", "requested_us": 1}
    (folder / "request.json").write_text(json.dumps(request | {"starter": {"pid": 999_999_999, "started": "1"}}))

    assert bench.wait().reason == "Lost"


def test_the_plan_of_a_stage_cannot_be_written_by_it(bench):
    bench.start()
    bench.wait()

    plan = Path(json.loads(bench.artifact().read("environment.json"))["TOUGE_PLAN"])

    assert plan.stat().st_mode & 0o777 == 0o444
    assert Plan.read_json(plan.read_bytes()) == bench.plan


def test_scratch_is_gone_when_a_stage_is_over(bench):
    bench.start()
    bench.wait()

    scratch = Path(json.loads(bench.artifact().read("environment.json"))["TOUGE_SCRATCH"])

    assert not scratch.exists()


def test_a_committed_stage_is_not_worked_on_again(bench):
    bench.start()
    bench.wait()
    bench.start(attempt=2)

    again = bench.wait()

    assert again.exit_code == 0
    assert committed(bench.store, MAP.ref(bench.plan.stage("curate-map"))).manifest.execution.split("-")[-2] == "1"
    assert StageRef(bench.plan.stage("curate").id) != MAP.ref(bench.plan.stage("curate-map"))
