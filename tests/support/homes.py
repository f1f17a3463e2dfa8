"""A folder for each running cluster, and nothing left behind: the next one clears up after an owner that was killed."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from binaries import folder

PREFIX = "touge-cluster-"
_OWNER = "owner.lock"
#: A process that was killed is gone from its control group by then, also on a busy machine.
_DYING_S = 10
#: Where the kernel shows its control groups.
CGROUPS = Path("/sys/fs/cgroup")


@contextlib.contextmanager
def home() -> Iterator[Path]:
    """Yield a new folder, which goes at the end, with the control groups of containers that are left.

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


def control_groups(left: Path) -> list[Path]:
    """Return the control groups of a cluster's containers, in every hierarchy."""
    containers = left.glob("containerd-state/io.containerd.runtime.v2.task/k8s.io/*")
    return [group for container in containers for group in CGROUPS.glob(f"*/k8s.io/{container.name}")]


def _clear(left: Path) -> None:
    shared = CGROUPS.glob("*/k8s.io") if (left / "containerd-state").exists() else ()
    for group in control_groups(left):
        _remove(group, _DYING_S)
    for group in shared:
        _remove(group, 0)
    shutil.rmtree(left, ignore_errors=True)


def _remove(group: Path, seconds: float) -> None:
    """Remove a control group, unless somebody is in it; the kernel takes a while to let the dead go."""
    end = time.monotonic() + seconds
    while group.exists():
        with contextlib.suppress(OSError):
            group.rmdir()
        if time.monotonic() >= end:
            return
        time.sleep(0.05)


@contextlib.contextmanager
def _alone() -> Iterator[IO[str]]:
    """Nobody clears up between the making of a folder and its lock."""
    cache = folder().parent
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "homes.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
