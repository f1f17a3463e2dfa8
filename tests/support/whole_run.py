"""A folder in which a person works with the real stages: a recipe, drives, a base model, `python -m controller`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eventually import PATIENCE_S

#: Every process computes on one core, and none of this machine's own settings or credentials reach it. A library that
#: stages import would load torch's compiler, two seconds, for what they never call.
HIDDEN = ("TOUGE_", "AWS_", "HF_")
ALONE = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "TORCHDYNAMO_DISABLE": "1"}
PROGRAM = (sys.executable, "-m", "controller")


def environ(**more: str) -> dict[str, str]:
    """Return the environment of a process."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(HIDDEN)}
    return own | ALONE | more


@dataclass(frozen=True)
class Done:
    """How a command ended, and all that it said."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Everything, as a person sees it on a terminal."""
        return self.out + self.err


def finished(command: list[str], folder: Path, variables: Mapping[str, str], timeout: float = PATIENCE_S) -> Done:
    """Run a command to its end."""
    done = subprocess.run(
        command, cwd=folder, env=dict(variables), capture_output=True, text=True, timeout=timeout, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


@dataclass
class Desk:
    """A folder with a recipe, and a command line there; `within` is the command by which that enters a network."""

    folder: Path
    recipe: dict[str, Any]
    variables: dict[str, str] = field(default_factory=environ)
    within: tuple[str, ...] = ()
    patience_s: float = PATIENCE_S

    @property
    def store(self) -> Path:
        """Where artifacts lie unless the environment says otherwise."""
        return self.folder / ".touge/store"

    def write(self) -> Desk:
        """Write the recipe; JSON is YAML."""
        (self.folder / "recipe.yaml").write_text(json.dumps(self.recipe, indent=1), encoding="utf-8")
        return self

    def run(self, *words: str) -> Done:
        """Run one command line."""
        return finished([*self.within, *PROGRAM, *words], self.folder, self.variables, self.patience_s)

    def submit(self, *words: str) -> Done:
        """Submit the recipe and wait for its end."""
        return self.run("submit", "recipe.yaml", *words)

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Start a command line and go on."""
        return self.begin_command(*PROGRAM, *words)

    def begin_command(self, *command: str) -> subprocess.Popen[str]:
        """Start any command in the folder and go on."""
        return subprocess.Popen(
            [*self.within, *command],
            cwd=self.folder,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def status(self) -> dict[str, Any]:
        """Return the newest run's status."""
        status: dict[str, Any] = json.loads(self.run("status", "-o", "json").out)
        return status

    def cancel(self) -> None:
        """Cancel the newest run."""
        self.run("cancel", self.status()["run"])

    def attempts(self) -> dict[str, int]:
        """Return how often each stage was begun."""
        return {stage["name"]: stage["attempts"] for stage in self.status()["stages"]}

    def committed(self, stage: str) -> list[Path]:
        """Return the commit marks of a stage and of its shards; stage names end where their hash begins."""
        return sorted(self.store.glob(f"stages/{stage}-[0-9a-f]*/**/committed.json"))

    def artifact(self, stage: str) -> Path:
        """Return the folder of the execution that a stage's only commit mark names."""
        (mark,) = self.committed(stage)
        return mark.parent / "executions" / json.loads(mark.read_text())["execution"]


def desk(folder: Path, drives: dict[str, Any], **sections: Any) -> Desk:
    """Return a folder with a recipe for frames of 64 x 32 and an empty base model, both still to be changed."""
    (folder / "base").mkdir(parents=True)
    (folder / "base/config.json").write_text("{}")
    recipe = {
        "apiVersion": "touge/v1",
        "name": "bend",
        "base": "file://./base",
        "curate": {
            "drives": [drives],
            "image": {"min_pixels": 64 * 32, "max_pixels": 64 * 32},
            "reasoning": {"straight": "template"},
        },
        "train": {"method": "lora", "steps": 4},
        "resources": {"gpus": 0},
    }
    return Desk(folder, recipe | sections).write()


def half_written(store: Path) -> list[str]:
    """Return what a later run could take for whole: manifests with a file missing, marks without a manifest."""
    wrong = []
    for manifest in store.rglob("manifest.json"):
        for entry in json.loads(manifest.read_text())["files"]:
            path = manifest.parent / entry["name"]
            if not path.is_file() or path.stat().st_size != entry["size"]:
                wrong.append(f"{manifest}: {entry['name']}")
    for mark in store.rglob("committed.json"):
        winner = mark.parent / "executions" / json.loads(mark.read_text())["execution"]
        wrong += [] if (winner / "manifest.json").is_file() else [str(mark)]
    return wrong
