"""Whether anybody works on a run. On this machine each controller holds a shared lock, and loses it when it dies."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_RUN_LOCK, _OPERATOR_LOCK = "attended.lock", "operator.lock"


class Attendance(Protocol):
    """Who works on runs."""

    def attending(self, run: str | None = None) -> AbstractContextManager[None]:
        """Say for as long as it lasts that this process works on a run, or (None) as `operate` on all of them."""
        ...

    def attended(self, run: str) -> bool:
        """Return whether somebody works on the run."""
        ...

    def operator(self) -> str:
        """Return which `operate` sees every run through, in a few words; empty where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Locks:
    """Attendance on this machine: locked files below `<home>`."""

    home: Path

    @contextlib.contextmanager
    def attending(self, run: str | None = None) -> Iterator[None]:
        """Hold the run's lock, or the operator's."""
        path = self._path(run)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield

    def attended(self, run: str) -> bool:
        """Return whether a living controller works on the run, or on all of them."""
        return _held(self._path(run)) or bool(self.operator())

    def operator(self) -> str:
        """Say whether an operator lives on this machine."""
        return f"`operate` on {self.home}" if _held(self._path(None)) else ""

    def _path(self, run: str | None) -> Path:
        home = self.home.absolute()
        return home / _OPERATOR_LOCK if run is None else home / "runs" / run / _RUN_LOCK


def _held(path: Path) -> bool:
    if not path.exists():
        return False
    with path.open("r") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
