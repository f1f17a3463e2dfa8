"""The local runner's own choice of processes: a training of several micro-batches a step, side by side, no GPU."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from eventually import PATIENCE_S
from safetensors.torch import load_file
from tiny_training import World, write_base
from whole_run import ALONE

from controller.runners.local import COMMANDS, LocalRunner
from controller.runners.port import StartRequest
from controller.state import Execution, Task
from touge.contract.artifacts import StageRef
from touge.contract.plan import Plan
from touge.storage import open_store
from touge.storage.execution import committed, newest_checkpoint, read_progress
from touge.training import stage
from touge.training.metrics import read_rows

TASK = Task(stage="train")
PARTS = {"batch_size": 2, "gradient_accumulation": 2, "global_batch": 4, "resources": {"gpus": 0}}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        len(os.sched_getaffinity(0)) < 2 or Path("/dev/nvidia0").exists(), reason="needs two processors and no GPU"
    ),
]


@pytest.fixture
def worlds(tmp_path):
    """Two worlds with the same base and windows."""
    found = [World(tmp_path / name, write_base(tmp_path / "base")) for name in ("side-by-side", "alone")]
    for world in found:
        world.curate()
    return found


@pytest.fixture
def runner(tmp_path):
    runner = LocalRunner(tmp_path / "home", COMMANDS, os.environ | ALONE)
    yield runner
    for run in (tmp_path / "home/runs").iterdir():
        runner.delete(run.name)


def until(runner: LocalRunner, plan: Plan, holds: Callable[[Execution], object]) -> Execution:
    """Observe the newest execution until a condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if holds(execution := runner.observe(plan.run)[-1]):
            return execution
        time.sleep(0.05)
    raise AssertionError(list(runner.logs(plan.run, None, lambda: False)))


def ended(execution: Execution) -> bool:
    return execution.ended


def ranks_of(world: World) -> list[psutil.Process]:
    """Return the ranks that train in a world's store."""
    found = []
    for process in psutil.process_iter():
        try:
            environ = process.environ()
        except psutil.Error:
            continue
        if environ.get("TOUGE_STORE") == world.store_uri and "LOCAL_RANK" in environ:
            found.append(process)
    return found


def test_processes_side_by_side_learn_what_one_learns(worlds, runner, tmp_path):
    world, twin = worlds
    plan, context = world.plan(**PARTS), twin.context(twin.plan(**PARTS))
    context.execution.commit(stage.run(context))

    runner.start(StartRequest(plan, TASK, 1, world.store_uri))

    assert until(runner, plan, ended).exit_code == 0
    begun = [line for line in runner.logs(plan.run, "train", lambda: False) if '"event": "training"' in line]
    assert [json.loads(line)["ranks"] for line in begun] == [2, 2]
    ref = StageRef(plan.stage("train").id)
    stores = [open_store(one.store_uri) for one in worlds]
    found, expected = (committed(store, ref).fetch(tmp_path / str(number)) for number, store in enumerate(stores))
    for row, other in zip(*(read_rows(folder / "metrics.jsonl") for folder in (found, expected)), strict=True):
        assert (row.loss, row.gradient_norm) == pytest.approx((other.loss, other.gradient_norm), rel=1e-3)
    weights, others = (load_file(folder / "adapter/adapter_model.safetensors") for folder in (found, expected))
    assert max(float((weights[name] - others[name]).abs().max()) for name in others) < 1e-4


def test_a_killed_rank_ends_the_execution_to_be_tried_again_and_a_stopped_one_leaves_its_checkpoint(worlds, runner):
    world = worlds[0]
    plan = world.plan(**PARTS, steps=100_000, checkpoint_every=100_000)
    ref, store = StageRef(plan.stage("train").id), open_store(world.store_uri)

    def works(execution: Execution) -> bool:
        assert not execution.ended, execution
        return read_progress(store, ref, f"{plan.run}-{execution.attempt}-{execution.uid}") is not None

    def stopped(attempt: int, end: Callable[[], None]) -> int | None:
        """Start an attempt, end it when both ranks train, and return its exit code."""
        runner.start(StartRequest(plan, TASK, attempt, world.store_uri))
        until(runner, plan, works)
        assert len(ranks_of(world)) == 2
        end()
        return until(runner, plan, ended).exit_code

    assert stopped(1, lambda: max(ranks_of(world), key=lambda rank: rank.pid).kill()) in {30, 128 + signal.SIGKILL}
    assert stopped(2, lambda: runner.stop(plan.run, TASK, 2)) == 31
    assert ranks_of(world) == []
    assert newest_checkpoint(store, ref).step > 0
