"""Somebody who works with the chart's install on a control plane by `python -m controller` and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from laptop import FILES

from control_plane import ControlPlane


class Clerk:
    """A folder with a recipe, and a command line there that speaks to a namespace as a user.

    Args:
        plane: The control plane.
        namespace: The namespace.
        folder: An empty one.
        user: Whom the API server takes the command line for.
        more: Variables of the environment.
    """

    def __init__(self, plane: ControlPlane, namespace: str, folder: Path, user: str, **more: str) -> None:
        for name, text in FILES.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        own = {name: value for name, value in os.environ.items() if not name.startswith("TOUGE_")}
        self.folder = folder
        self.environ = own | more | {
            "KUBECONFIG": str(plane.kubeconfig_of(user)),
            "TOUGE_RUNNER": "kubernetes",
            "TOUGE_NAMESPACE": namespace,
            "TOUGE_HOME": str(folder / "home"),
        }  # fmt: skip

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Start a command line."""
        command = [sys.executable, "-m", "controller", *words]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str) -> tuple[int, str, str]:
        """Run one to its end; return exit code, data and messages."""
        process = self.begin(*words)
        said, beside = process.communicate(timeout=120)
        return process.returncode, said, beside

    def findings(self) -> tuple[int, dict[str, Any]]:
        """Return how `doctor` ends, and what it finds, by name."""
        code, said, _ = self.run("doctor", "-o", "json")
        return code, {finding["name"]: finding for finding in json.loads(said)}
