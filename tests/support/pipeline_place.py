"""An install on a test cluster with a store and the inputs of the tiny pipeline, and somebody who submits to it."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from checkout_pods import RUNNER, VALUES, desk_of
from cluster_store import ClusterStore, store_of
from eventually import eventually
from helm import CHART
from installs import helm_on
from real_node import RealNode
from tiny_pipeline import recipe
from whole_run import Desk

from control_plane import ControlPlane
from touge.contract.exit_codes import ExitCode

PATIENCE_S = 900
#: So many that a training lasts long enough to be disturbed.
STEPS = "train.steps=300"


class Place:
    """What a test disturbs, and the desk from which its runs are submitted."""

    def __init__(
        self, plane: ControlPlane, node: RealNode, store: ClusterStore, namespace: str, inputs: Path, folder: Path
    ) -> None:
        self.plane, self.node, self.store, self.namespace = plane, node, store, namespace
        addresses = {name: store.upload(inputs / name, name) for name in ("drives", "base")}
        root = addresses["drives"].removesuffix("/drives")
        self.desk = desk_of(plane, namespace, RUNNER, folder, recipe(root), **store.environ)
        self.desk.patience_s = PATIENCE_S

    def report(self) -> dict[str, Any]:
        """Return the newest run's report."""
        report: dict[str, Any] = json.loads(self.desk.run("report", "-o", "json").out)
        return report

    def stage_pod(self, stage: str) -> str:
        """Return the name of the stage's running pod."""
        selector = f"--selector=touge/stage={stage}"

        def running() -> list[str]:
            pods = self.plane.get("pods", "--namespace", self.namespace, selector)["items"]
            return [pod["metadata"]["name"] for pod in pods if pod["status"].get("phase") == "Running"]

        return str(eventually(running, 120)[-1])

    def stage(self, name: str) -> dict[str, Any]:
        """Return the status of a stage of the newest run."""
        return next(stage for stage in self.desk.status()["stages"] if stage["name"] == name)

    def checkpoints(self) -> set[Path]:
        """Return the manifests of all checkpoints of all trainings."""
        return set(self.store.folder.glob("touge/stages/train-*/executions/*/checkpoints/*/manifest.json"))

    def disturbed(self, harm: Callable[[Place], None]) -> subprocess.Popen[str]:
        """Begin a run of its own, and do harm as soon as its training has kept something; return the submission."""
        before = self.checkpoints()
        submit = self.desk.begin("submit", "recipe.yaml", "--wait", "--no-reuse", "--set", STEPS)
        assert eventually(lambda: self.checkpoints() - before or submit.poll() is not None, 300)
        assert submit.poll() is None, submit.communicate()
        harm(self)
        return submit

    def upgrade(self, values: dict[str, Any]) -> None:
        """Upgrade the chart to other values."""
        helm_on(self.plane, self.namespace, "upgrade", "touge", str(CHART), values=self.with_store(values))

    def with_store(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values with the store's."""
        return values | {"storage": self.store.values}


@contextlib.contextmanager
def place_on(
    plane: ControlPlane,
    node: RealNode,
    namespace: str,
    inputs: Path,
    folder: Path,
    install: Callable[[ControlPlane, str, dict[str, Any]], object],
) -> Iterator[Place]:
    """Yield a place in a namespace, where `install` has put the chart."""
    with store_of(plane, namespace) as store:
        place = Place(plane, node, store, namespace, inputs, folder)
        install(plane, namespace, place.with_store(VALUES))
        yield place


def on_a_laptop(inputs: Path, folder: Path) -> dict[str, Any]:
    """Return the report of the same recipe on this machine."""
    desk = Desk(folder, recipe(f"file://{inputs}"), patience_s=PATIENCE_S).write()
    done = desk.submit("--set", STEPS)
    assert done.code == ExitCode.GATE_FAILED, done.said
    report: dict[str, Any] = json.loads((desk.artifact("evaluate") / "report.json").read_text())
    return report


def measured(report: dict[str, Any]) -> dict[str, Any]:
    """Return what a report measured, without what names its run."""
    return {part: report[part] for part in ("models", "windows", "verdict")}
