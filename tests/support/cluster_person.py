"""Somebody whose recipes' stages do as they are told, in real pods of a test cluster, and who works from beside it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from checkout_pods import FAKE_STAGE, RUNNER, VALUES, desk_of, install_checkout
from cluster_store import ClusterStore, store_of
from daemons import child_of
from whole_run import Done, finished

from control_plane import ControlPlane

RECIPE: dict[str, Any] = {
    "apiVersion": "touge/v1",
    "name": "bend",
    "base": "file://./base",
    "curate": {"drives": [{"format": "jsonl", "uri": "file://./drives"}]},
    "train": {"method": "lora", "steps": 4},
    "resources": {"gpus": 0},
}
_FILES = {"base/config.json": "{}", "drives/a.jsonl": "{}\n"}


class Person:
    """One person, with the chart's role `runner` and the store's keys."""

    def __init__(self, plane: ControlPlane, namespace: str, store: ClusterStore, folder: Path) -> None:
        self.plane, self.namespace, self.store, self.folder = plane, namespace, store, folder
        self.scripts = scripts_in(folder)
        for name, text in _FILES.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        self.desk = desk_of(plane, namespace, RUNNER, folder, RECIPE, **store.environ)
        self.desk.variables["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def tell(self, verdict: object, **stages: str) -> None:
        """Tell the report's verdict, and what stages do at each attempt."""
        for path in self.scripts.iterdir():
            path.unlink()
        (self.scripts / "verdict").write_text(json.dumps(verdict))
        for stage, words in stages.items():
            (self.scripts / f"{stage}.plan").write_text(words)

    def begin(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        """Start a command line with more variables."""
        return replace(self.desk, variables=self.desk.variables | variables).begin(*words)

    @contextlib.contextmanager
    def operating(self, **variables: str) -> Iterator[list[str]]:
        """Let a controller of all runs work for as long as it lasts; yields what it logs."""
        process, said = self.begin("operate", "--port", "0", **variables), []
        reader = threading.Thread(target=lambda: said.extend(process.stderr or ()))
        reader.start()
        try:
            yield said
        finally:
            os.kill(child_of(process.pid), signal.SIGTERM)
            process.communicate(timeout=60)
            reader.join()

    def shell(self, *command: str) -> Done:
        """Run a shell command to its end, in the folder and the cluster's network."""
        return finished([*self.desk.within, *command], self.folder, self.desk.variables, 280)

    def kubectl(self, *words: str) -> str:
        """Run kubectl as administrator in the namespace."""
        return self.plane.kubectl("--namespace", self.namespace, *words)

    def get(self, kind: str, stage: str) -> list[Any]:
        """Return the objects of a kind that a stage of the newest run has, oldest first."""
        selector = f"--selector=touge/run={self.desk.status()['run']},touge/stage={stage}"
        found: list[Any] = json.loads(self.kubectl("get", kind, selector, "--output", "json"))["items"]
        return sorted(found, key=lambda item: item["metadata"]["creationTimestamp"])

    def stage(self, name: str) -> dict[str, Any]:
        """Return the status of a stage of the newest run; empty as long as there is none."""
        done = self.desk.run("status", "-o", "json")
        stages = json.loads(done.out)["stages"] if done.code == 0 else ()
        return next((stage for stage in stages if stage["name"] == name), {"state": "", "message": "", "attempts": 0})


@contextlib.contextmanager
def person_on(plane: ControlPlane, namespace: str, folder: Path, *, controller: bool = False) -> Iterator[Person]:
    """Yield somebody with a store and an install in a namespace whose pods may mount what is the node's.

    Args:
        plane: The cluster.
        namespace: The namespace.
        folder: Where the person works.
        controller: Whether the chart's controller is installed, too.
    """
    with store_of(plane, namespace) as store:
        values = VALUES | {"storage": store.values, "controller": {"enabled": controller}}
        install_checkout(plane, namespace, values, command=FAKE_STAGE, scripts=scripts_in(folder))
        yield Person(plane, namespace, store, folder)


def scripts_in(folder: Path) -> Path:
    """Return the folder, which pods read, in which stages are told what to do."""
    scripts = folder / "scripts"
    scripts.mkdir(exist_ok=True)
    scripts.chmod(0o755)
    return scripts
