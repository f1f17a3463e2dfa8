"""The identity of a process: pid and start time, because pids come round again."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process for good."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """Return the identity of a living process, or None if there is none with this pid."""
        started = _from_proc(pid) if Path("/proc/self/stat").exists() else _from_ps(pid)
        return cls(pid, started) if started else None

    @classmethod
    def own(cls) -> ProcessId:
        """Return the identity of this process."""
        found = cls.of(os.getpid())
        if found is None:
            raise RuntimeError("this process cannot be seen in /proc nor by ps")
        return found

    @property
    def alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        return ProcessId.of(self.pid) == self

    def send(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send a signal to the process, or to the group that it leads; gone is fine."""
        if not self.alive:
            return
        try:
            (os.killpg if group else os.kill)(self.pid, number)
        except ProcessLookupError:
            return


def _from_proc(pid: int) -> str | None:
    """Read the state and start time, fields 3 and 22 of /proc/<pid>/stat (man 5 proc); the name may hold blanks."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in {"Z", "X"} else fields[19]


def _from_ps(pid: int) -> str | None:
    """Ask ps where there is no /proc (macOS)."""
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ps, a number
    state, _, started = answer.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()
