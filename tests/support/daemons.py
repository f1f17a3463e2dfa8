"""Servers as processes: each with a log of its own, ready when it says so, dead with whoever started it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil  # type: ignore[import-untyped]

#: The kernel kills the process when the one that started it dies, also by -9 (util-linux).
WITH_ITS_PARENT = ("setpriv", "--pdeathsig", "KILL")
_TOLD = 2000
#: `nsenter` sees at once that what it started is gone, unless it was stopped.
_SEEN_S = 10


class Daemon:
    """A process that runs until it is killed.

    Args:
        command: With the binary's whole path.
        log: Where it writes; a restart appends.
        within: Command by which namespaces are entered first.
        environ: Its whole environment.
    """

    def __init__(
        self, command: Sequence[str], log: Path, *, within: Sequence[str] = (), environ: Mapping[str, str]
    ) -> None:
        self.log, self._entered, self._environ = log, bool(within), dict(environ)
        self._command = [*WITH_ITS_PARENT, *within, *command]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environ
            )

    @property
    def pid(self) -> int:
        """The server's own process id, as seen from here."""
        assert self._process is not None, f"{self.log.stem} is not started"
        return child_of(self._process.pid) if self._entered else self._process.pid

    @property
    def running(self) -> bool:
        """Whether it is there."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """Kill it with -9, and wait until it is gone."""
        if self._process is None or not self.running:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            inside = psutil.Process(self._process.pid).children() if self._entered else []
            for process in inside or [self._process]:
                process.kill()
        try:
            self._process.wait(_SEEN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """Stop it where it is."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on, and `nsenter`, which stops with what it started: nobody else reaps that when it ends."""
        assert self._process is not None, f"{self.log.stem} is not started"
        for process in (self.pid, self._process.pid):
            os.kill(process, signal.SIGCONT)

    def told(self) -> str:
        """Return the end of its log."""
        return self.log.read_text("utf-8", "replace")[-_TOLD:] if self.log.exists() else ""


def child_of(pid: int) -> int:
    """Return the only child of a process; entering a process namespace takes a fork."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    wait_until(lambda: bool(children.read_text()), f"process {pid} has a child", seconds=10)
    return int(children.read_text().split()[0])


def wait_until(
    holds: Callable[[], bool], what: str, *, seconds: float = 60, told: Callable[[], str] = lambda: ""
) -> None:
    """Wait until something holds.

    Raises:
        AssertionError: It did not within that time; `told` says what was seen instead.
    """
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"waited {seconds:g} s in vain until {what}\n{told()}"
        time.sleep(0.05)
