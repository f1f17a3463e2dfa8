"""Keeps one execution: starts the stage, forwards the stop, writes down how it ended. Outlives the controller.

`python -m controller.runners.supervise FOLDER COMMAND…`, in the stage's environment. It leaves the
controller's session, so that neither Ctrl-C nor the controller's death reaches the stage. Files in FOLDER:
`keeper.json` and `stage.json` (identities), `log`, `exit.json` (last). Imports nothing heavy.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from controller.runners.process import ProcessId

KEEPER, STAGE, EXIT, LOG, SCRATCH = "keeper.json", "stage.json", "exit.json", "log", "scratch"
#: Seconds between SIGTERM and SIGKILL, as a pod's terminationGracePeriodSeconds; long enough for a checkpoint.
GRACE_S = 120
_COULD_NOT_START = 127


def main(arguments: Sequence[str]) -> None:
    """Become the keeper of an execution; the calling process returns at once."""
    folder = Path(arguments[0])
    if os.fork():
        os._exit(0)
    os.setsid()
    with locked(folder):
        if (folder / EXIT).exists():
            return
        write_json(folder / KEEPER, _identity(ProcessId.own()))
    kills = _out_of_memory_kills()
    code = _run(folder, arguments[1:])
    out_of_memory = code == 128 + signal.SIGKILL and _out_of_memory_kills() > kills
    shutil.rmtree(folder / SCRATCH, ignore_errors=True)
    write_exit(folder, code, "OOMKilled" if out_of_memory else "")


def write_exit(folder: Path, code: int | None, reason: str) -> None:
    """Write the record of an end; what is written once stays."""
    write_json(folder / EXIT, {"code": code, "reason": reason, "ended_us": time.time_ns() // 1000})


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the execution's lock: its keeper and those who find it without one never decide at once."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_json(path: Path, document: dict[str, object]) -> None:
    """Write a small JSON file by renaming a finished one."""
    partial = path.with_name(f".{path.name}-{os.getpid()}")
    partial.write_text(json.dumps(document))
    partial.replace(path)


def _run(folder: Path, command: Sequence[str]) -> int:
    """Run the stage to its end and return its exit code as a shell would."""
    stage: list[subprocess.Popen[bytes]] = []
    asked: list[int] = []

    def kill(_number: int, _frame: FrameType | None) -> None:
        _signal_group(stage[0].pid, signal.SIGKILL)

    def stop(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        if stage and len(asked) == 1:
            _signal_group(stage[0].pid, signal.SIGTERM)
            signal.alarm(GRACE_S)

    signal.signal(signal.SIGALRM, kill)
    signal.signal(signal.SIGTERM, stop)
    with (folder / LOG).open("ab") as log:
        try:
            stage.append(_start(command, folder / SCRATCH, log.fileno()))
        except OSError as error:
            log.write(f"cannot start {command[0]}: {error.strerror}\n".encode())
            return _COULD_NOT_START
    identity = ProcessId.of(stage[0].pid) or ProcessId(stage[0].pid, "over")
    write_json(folder / STAGE, _identity(identity) | {"started_us": time.time_ns() // 1000})
    if asked:
        _signal_group(stage[0].pid, signal.SIGTERM)
        signal.alarm(GRACE_S)
    code = stage[0].wait()
    signal.alarm(0)
    _signal_group(stage[0].pid, signal.SIGKILL)
    return code if code >= 0 else 128 - code


def _start(command: Sequence[str], scratch: Path, log: int) -> subprocess.Popen[bytes]:
    scratch.mkdir(exist_ok=True)
    return subprocess.Popen(  # noqa: S603 - the runner's own table of stages
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=scratch, process_group=0
    )


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _out_of_memory_kills() -> int:
    """Return how many processes the kernel has killed for memory so far (0 where it does not say)."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def _identity(process: ProcessId) -> dict[str, object]:
    return {"pid": process.pid, "started": process.started}


if __name__ == "__main__":
    main(sys.argv[1:])
