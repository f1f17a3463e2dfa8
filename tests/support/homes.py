"""A folder for each running cluster, and nothing left behind: the next one clears up after an owner that was killed."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from binaries import folder

PREFIX = "touge-cluster-"
_OWNER = "owner.lock"
_CGROUPS = Path("/sys/fs/cgroup")


@contextlib.contextmanager
def home() -> Iterator[Path]:
    """Yield a new folder, which goes at the end, with the control groups of its name.

    The owner holds a lock in it as long as it lives, so that a folder whose lock is free is one of the dead.
    """
    with _alone():
        clear_the_dead()
        new = Path(tempfile.mkdtemp(prefix=PREFIX))
        owner = (new / _OWNER).open("w")
        fcntl.flock(owner, fcntl.LOCK_EX)
    try:
        yield new
    finally:
        _clear(new)
        owner.close()


def clear_the_dead() -> None:
    """Remove what clusters left whose owners were killed; their processes died with them (`daemons`, `sandbox`)."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), (left / _OWNER).open() as owner:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _clear(left)


def control_groups(name: str) -> list[Path]:
    """Return the control groups of a cluster, in every hierarchy, the inner ones first."""
    found = [group for top in _CGROUPS.glob(f"**/{name}") for group in (top, *top.glob("**/")) if group.is_dir()]
    return sorted(set(found), key=lambda group: len(group.parts), reverse=True)


def _clear(left: Path) -> None:
    for group in control_groups(left.name):
        with contextlib.suppress(OSError):
            group.rmdir()
    shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def _alone() -> Iterator[IO[str]]:
    """Nobody clears up between the making of a folder and its lock."""
    cache = folder().parent
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "homes.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
