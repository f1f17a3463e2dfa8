"""Whether anybody works on a run: each controller holds a shared lock while it does, and loses it when it dies."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

_LOCK = "attended.lock"


@contextlib.contextmanager
def attending(home: Path, run: str) -> Iterator[None]:
    """Hold the run's lock while working on it."""
    with _path(home, run).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def attended(home: Path, run: str) -> bool:
    """Return whether a living controller works on the run."""
    path = _path(home, run)
    if not path.exists():
        return False
    with path.open("r") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _path(home: Path, run: str) -> Path:
    return home.absolute() / "runs" / run / _LOCK
