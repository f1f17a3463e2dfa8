"""A folder in which a person works with stages that only pretend to work: a recipe, and a command line there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import fake_controller
import psutil
from run_builders import CODES

from controller.runners.supervise import GRACE_S

RECIPE = """
apiVersion: touge/v1
name: bend
base: file://./base
curate:
  drives: [{format: jsonl, uri: "file://./drives"}]
  shards: 2
train: {method: lora, steps: 4}
"""
FILES = {
    "recipe.yaml": RECIPE,
    "base/config.json": "{}",
    "drives/a.jsonl": "{}\n",
    "digests.json": json.dumps(CODES),
}
#: What does not stop when it is told to is killed after the grace period: a test that waited so long would not see it.
PATIENCE_S = GRACE_S - 10
PROGRAM = (sys.executable, str(Path(fake_controller.__file__)))


class Laptop:
    """A folder with a recipe in it, and a command line there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in FILES.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith("TOUGE_")}
        self.environ |= {"TOUGE_CODE_DIGESTS": str(folder / "digests.json")}

    def script(self, stage: str, words: str) -> None:
        """Tell a stage what to do at each attempt."""
        (self.folder / ".touge").mkdir(exist_ok=True)
        (self.folder / f".touge/{stage}.plan").write_text(words)

    def verdict(self, passed: object) -> None:
        (self.folder / ".touge").mkdir(exist_ok=True)
        (self.folder / ".touge/verdict").write_text(json.dumps(passed))

    def run(self, *words: str, check: int | None = None) -> subprocess.CompletedProcess:
        done = subprocess.run(
            [*PROGRAM, *words],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert check is None or done.returncode == check, f"{done.returncode}: {done.stdout}{done.stderr}"
        return done

    def begin(self, *words: str) -> subprocess.Popen:
        return subprocess.Popen(
            [*PROGRAM, *words],
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def status(self) -> dict:
        done = self.run("status", "-o", "json")
        return json.loads(done.stdout) if done.returncode == 0 else {"state": "none", "stages": []}

    def wait_for_log(self, text: str, times: int = 1) -> None:
        """Wait until the stages have said something so often."""
        deadline = time.monotonic() + PATIENCE_S
        logs = self.folder / ".touge/runs"
        while time.monotonic() < deadline:
            if sum(log.read_text().count(text) for log in logs.glob("*/executions/*/log")) >= times:
                return
            time.sleep(0.05)
        raise AssertionError(f"{text!r} never logged: {self.run('logs').stdout}")

    def wait_until_over(self) -> dict:
        deadline = time.monotonic() + PATIENCE_S
        while (status := self.status())["state"] not in {"Succeeded", "Failed", "Cancelled"}:
            assert time.monotonic() < deadline, status
            time.sleep(0.2)
        return status

    def end(self) -> None:
        """Kill whatever still runs for this folder; its environment names the folder."""
        ours = self.environ["TOUGE_CODE_DIGESTS"]
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("TOUGE_CODE_DIGESTS") == ours:
                    process.kill()

    def resumed_at(self, stage: str) -> int:
        """Return the checkpoint's step that the committed execution began with."""
        found = next(self.folder.glob(f".touge/store/stages/{stage}-*/executions/*/resumed.json"))
        return json.loads(found.read_text())

    def attempts(self) -> dict[str, int]:
        return {stage["name"]: stage["attempts"] for stage in self.status()["stages"]}
