"""A training of two pods, of which one is killed: all begin again at the last checkpoint, and end as if nothing was.

The real stages run from the checkout on one node (`checkout_pods`), by gloo on processors.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from checkout_pods import RUNNER, VALUES, desk_of, install_checkout
from cluster_store import store_of
from eventually import eventually
from pipeline_place import PATIENCE_S
from tiny_pipeline import recipe

from touge.contract.exit_codes import ExitCode

pytestmark = pytest.mark.timeout(2400)

TWO = {"resources": {"gpus": 0, "nodes": 2}}
STEPS = "train.steps=32"


@pytest.fixture(scope="module")
def store(plane, open_namespace):
    with store_of(plane, open_namespace) as store:
        yield store


@pytest.fixture(scope="module")
def desk(plane, open_namespace, store, inputs, tmp_path_factory):
    install_checkout(plane, open_namespace, VALUES | {"storage": store.values})
    addresses = [store.upload(inputs / name, name) for name in ("drives", "base")]
    root = addresses[0].removesuffix("/drives")
    folder = tmp_path_factory.mktemp("desk")
    desk = desk_of(plane, open_namespace, RUNNER, folder, recipe(root) | TWO, **store.environ)
    desk.patience_s = PATIENCE_S
    return desk


@pytest.fixture(scope="module")
def undisturbed(desk):
    """Return the report of a run that nobody disturbs."""
    done = desk.run("submit", "recipe.yaml", "--wait", "--set", STEPS)
    assert done.code == ExitCode.GATE_FAILED, done.said
    assert desk.attempts()["train"] == 1
    return report_of(desk)


def report_of(desk):
    report = json.loads(desk.run("report", "-o", "json").out)
    return {part: report[part] for part in ("models", "windows", "verdict")}


def checkpoints(store) -> set[Path]:
    return set(store.folder.glob("touge/stages/train-*/executions/*/checkpoints/*/manifest.json"))


def training_of_node(number: int) -> int:
    """Return the process id, as this machine sees it, of the first process of a node's training."""
    wanted = {b"TOUGE_STAGE=train", f"JOB_COMPLETION_INDEX={number}".encode()}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            variables = set((folder / "environ").read_bytes().split(b"\0"))
        except OSError:
            continue
        if wanted <= variables:
            found.append(int(folder.name))
    return min(found)


@pytest.mark.parametrize("node", [0, 1])
def test_who_is_killed_takes_the_other_along_and_both_go_on_from_the_last_checkpoint(
    plane, open_namespace, desk, store, undisturbed, node
):
    before = checkpoints(store)
    submit = desk.begin("submit", "recipe.yaml", "--wait", "--no-reuse", "--set", STEPS)
    assert eventually(lambda: checkpoints(store) - before or submit.poll() is not None, 300)
    os.kill(training_of_node(node), signal.SIGKILL)
    out, err = submit.communicate(timeout=PATIENCE_S)
    run = desk.status()["run"]

    assert submit.returncode == ExitCode.GATE_FAILED, out + err
    assert condition(plane, open_namespace, f"{run}-train-1") == "PodFailurePolicy"
    assert desk.attempts()["train"] == 2
    assert '"event": "resumed"' in desk.run("logs", run).out
    assert report_of(desk) == undisturbed


def condition(plane, namespace, job):
    """Return why a Job failed."""
    conditions = plane.get("job", job, "--namespace", namespace)["status"]["conditions"]
    return next(item["reason"] for item in conditions if item["type"] == "Failed")
