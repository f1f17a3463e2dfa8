"""Several processes as one training: two real ranks over gloo, started by the launcher."""

import json
import signal
import time
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
import torch
from eventually import PATIENCE_S
from safetensors import safe_open
from safetensors.torch import load_file
from tiny_training import World, settings, starting
from torch import nn

from touge.contract.artifacts import StageRef
from touge.contract.errors import Interrupted, SettingsError
from touge.contract.plan import Plan
from touge.storage import open_store
from touge.storage.execution import committed, executions, newest_checkpoint, read_progress
from touge.training import stage
from touge.training.base_words import read_words
from touge.training.metrics import read_rows
from touge.training.ranks import LossModule, Ranks, check_devices, is_sharded
from touge.training.step import Totals

pytestmark = pytest.mark.slow

WORDLESS = {2: {"reasoning": None}, 5: {"reasoning": None}}
ALL_WEIGHTS = {"method": "full", "learning_rate": 1e-3, "steps": 40, "averaging": 0.9, "checkpoint_every": 100}


class Stopped(NamedTuple):
    """A training of several ranks that was told to stop."""

    world: World
    plan: Plan
    code: int
    step: int
    saved: Path


@pytest.fixture
def twin(tmp_path, base):
    """A world of its own for the same training in one process."""
    return World(tmp_path / "twin", base)


def assert_close(found, expected, rate):
    """Compare weights to a hundredth of one step: ranks add in another order."""
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-3, atol=rate / 100, msg=name)


def joined(folder):
    """Return the weights of a checkpoint, of which each process wrote its rows."""
    parts = {}
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            places = json.loads(file.metadata()["DCP_SHARDING_INFO"])
            for name in file.keys():  # noqa: SIM118 - it is no mapping
                if name.startswith("weights."):
                    parts.setdefault(name, []).append((places[name]["saved_offsets"], file.get_tensor(name)))
    return {name: torch.cat([rows for _, rows in sorted(found, key=itemgetter(0))]) for name, found in parts.items()}


@pytest.mark.parametrize("sharded", [False, True])
def test_two_ranks_end_with_the_weights_of_one_process_and_the_same_global_batch(world, twin, start, sharded):
    for one in (world, twin):
        one.curate(changes=WORDLESS)
    plan = world.plan(batch_size=1, gradient_accumulation=2, global_batch=4, sharded=sharded)
    alone = twin.context(twin.plan(batch_size=2, gradient_accumulation=2, global_batch=4))
    alone.execution.commit(stage.run(alone))

    assert start(world.environ(plan), TOUGE_PROCESSES="2").wait(PATIENCE_S) == 0

    ref = StageRef(plan.stage("train").id)
    store = open_store(world.store_uri)
    found = committed(store, ref).fetch(world.root / "found")
    expected = committed(alone.store, StageRef(alone.stage.id)).fetch(world.root / "expected")
    assert_close(*(load_file(folder / "adapter/adapter_model.safetensors") for folder in (found, expected)), rate=1e-2)
    for row, other in zip(*(read_rows(folder / "metrics.jsonl") for folder in (found, expected)), strict=True):
        assert (row.loss, row.gradient_norm) == pytest.approx((other.loss, other.gradient_norm), rel=1e-3)
    assert read_words(found / "base_words.jsonl") == read_words(expected / "base_words.jsonl")
    assert len(executions(store, ref)) == 1
    assert json.loads((found / "training.json").read_text())["steps"] == 4


@pytest.fixture(scope="module")
def stopped(base, tmp_path_factory):
    """Two ranks that were told to stop in a training of 40 steps."""
    folder = tmp_path_factory.mktemp("stopped")
    world = World(folder, base)
    world.curate()
    plan = world.plan(**ALL_WEIGHTS, batch_size=1, global_batch=2)
    with starting(folder) as start:
        process = start(world.environ(plan), TOUGE_PROCESSES="2")
        while read_progress(open_store(world.store_uri), StageRef(plan.stage("train").id), "tiny-1-1-a") is None:
            assert process.poll() is None, "it ended by itself"
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        code = process.wait(PATIENCE_S)
    saved = newest_checkpoint(open_store(world.store_uri), StageRef(plan.stage("train").id))
    return Stopped(world, plan, code, saved.step, saved.artifact.fetch(folder / "saved"))


def test_two_ranks_that_are_told_to_stop_save_one_step_and_end_with_31(stopped, twin):
    twin.curate()
    alone = twin.context(twin.plan(**ALL_WEIGHTS, batch_size=2), stop_after=stopped.step)
    with pytest.raises(Interrupted, match=f"stopped after step {stopped.step};"):
        stage.run(alone)
    expected = newest_checkpoint(alone.store, StageRef(alone.stage.id)).artifact.fetch(twin.root / "expected")

    assert stopped.code == 31
    assert f"stopped after step {stopped.step};" in (stopped.world.root / "message-a").read_text()
    assert_close(*map(joined, (stopped.saved, expected)), rate=1e-3 * stopped.step)


def test_a_training_goes_on_with_two_processes_then_one_then_two_to_the_same_curve_and_weights(stopped, twin, start):
    world, plan = stopped.world, stopped.plan
    ref, store = StageRef(plan.stage("train").id), open_store(world.store_uri)
    with pytest.raises(Interrupted, match=f"stopped after step {stopped.step + 2};"):
        stage.run(world.context(plan, "tiny-1-1-b", stop_after=2))
    by_one = newest_checkpoint(store, ref).artifact

    assert start(world.environ(plan, uid="c"), TOUGE_PROCESSES="2").wait(PATIENCE_S) == 0

    twin.curate()
    alone = twin.context(twin.plan(**ALL_WEIGHTS, batch_size=1, global_batch=2))
    alone.execution.commit(stage.run(alone))
    found = committed(store, ref).fetch(world.root / "found")
    expected = committed(alone.store, StageRef(alone.stage.id)).fetch(world.root / "expected")
    files = [len(list(folder.glob("*.safetensors"))) for folder in (stopped.saved, by_one.fetch(world.root / "by-one"))]
    assert files == [2, 1]
    rows = [read_rows(folder / "metrics.jsonl") for folder in (found, expected)]
    assert [row.loss for row in rows[0]] == pytest.approx([row.loss for row in rows[1]], rel=1e-2)
    assert_close(*(load_file(folder / "checkpoint/model.safetensors") for folder in (found, expected)), rate=1e-2)


def test_a_rank_that_dies_takes_the_others_down_with_a_code_that_is_tried_again(world, start):
    world.curate()
    plan = world.plan(method="full", batch_size=1, steps=100_000, checkpoint_every=100_000)
    process = start(world.environ(plan), TOUGE_PROCESSES="2")
    while read_progress(open_store(world.store_uri), StageRef(plan.stage("train").id), "tiny-1-1-a") is None:
        assert process.poll() is None, "it ended by itself"
        time.sleep(0.02)
    ranks = psutil.Process(process.pid).children()

    ranks[1].kill()

    assert process.wait(PATIENCE_S) in {30, 137}
    assert not [rank for rank in ranks if rank.is_running()]


def test_one_process_agrees_with_itself():
    ranks = Ranks()

    assert (1, 0, True) == (ranks.count, ranks.index, ranks.leads)
    assert (Totals(3, 2), True) == ranks.agree(Totals(3, 2), stop=True)
    assert ranks.follow({"step": 3}) == {"step": 3}
    assert ranks.follow(None) is None
    assert [1, 2] == ranks.join([1, 2])


@pytest.mark.parametrize("reach", [0.0, 0.25])
def test_the_recipes_share_of_the_flow_losss_gradient_is_what_the_model_is_told(reach):
    class Model(nn.Module):
        def losses(self, *given, **more):
            return given, more

    assert LossModule(Model(), reach)("batch", "noise", "time") == (("batch", "noise", "time"), {"reach": reach})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"method": "full"}, True),
        ({"method": "lora"}, False),
        ({"method": "qlora"}, False),
        ({"method": "full", "sharded": False}, False),
        ({"method": "lora", "sharded": True}, True),
    ],
)
def test_processes_split_the_weights_where_all_are_trained_or_the_recipe_says_so(changes, expected):
    assert is_sharded(settings(**changes)) is expected


@pytest.mark.parametrize(("processes", "gpus"), [(1, 0), (4, 0), (1, 1), (2, 8)])
def test_every_process_has_a_gpu_of_its_own_or_none_has(processes, gpus):
    check_devices(processes, gpus)


def test_more_processes_than_gpus_are_refused():
    with pytest.raises(SettingsError, match=r"4 processes and 2 GPUs.*TOUGE_PROCESSES"):
        check_devices(4, 2)
