"""One process or several: starts the ranks of a training and ends with the code of the first that failed.

torchrun and `accelerate launch` turn every child's code into 1, which would hide what the controller decides by;
so this calls torch elastic's `launch_agent` itself. On SIGTERM it forwards, waits for the grace period less a
margin, and ends with 31 if and only if the ranks did (design section 5). When a rank fails, the others are killed
seconds later: they may wait for it in native code, where no signal is heard, and elastic would wait half a minute.
"""

from __future__ import annotations

import ctypes
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]
from pydantic import ValidationError

from touge.contract import environment
from touge.contract.errors import InfrastructureError, SettingsError
from touge.contract.model import Document
from touge.contract.plan import Plan

if TYPE_CHECKING:
    from torch.distributed.launcher.api import LaunchConfig

#: Where node 0 of several listens.
MASTER_ADDRESS, MASTER_PORT = "MASTER_ADDR", "MASTER_PORT"
#: Seconds between SIGTERM and SIGKILL that the platform grants (Kubernetes' default is 30).
GRACE = "TOUGE_GRACE_S"
#: Left of the grace period for the launcher itself, seconds.
_MARGIN_S = 15.0
#: What ranks are given when one has failed: they wait for it in a collective, and nothing they do counts any more.
_AFTER_A_FAILURE_S = 5.0
#: A rank that ends well leaves `<local rank>` with this behind it among the records.
DONE = ".done"
_RENDEZVOUS_S = 900
_POLL_S = 0.2
_PR_SET_PDEATHSIG = 1
#: What elastic gives to every rank's environment.
_RANK = "LOCAL_RANK"


@dataclass(frozen=True, slots=True)
class Layout:
    """How many processes on how many nodes, which node this is, and where node 0 listens."""

    processes: int = 1
    nodes: int = 1
    node: int = 0
    endpoint: str = ""

    @property
    def ranks(self) -> int:
        """All processes of the training."""
        return self.processes * self.nodes

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Layout:
        """Read the layout of a stage from its environment and plan.

        A plan that cannot be read gives one process, which then explains what is wrong with it.

        Raises:
            SettingsError: If a number is none, or nodes cannot find one another.
        """
        resources = _resources(environ)
        processes = environ.get(environment.PROCESSES) or str(max(1, resources[0]))
        if not processes.isdigit() or not int(processes):
            raise SettingsError(f"{environment.PROCESSES}={processes!r}: expected a whole number of at least 1")
        if (nodes := resources[1]) == 1:
            return cls(int(processes))
        missing = [name for name in (MASTER_ADDRESS, MASTER_PORT, environment.INDEX) if not environ.get(name)]
        if missing:
            raise SettingsError(f"training on {nodes} nodes needs {', '.join(missing)} to be set")
        node = environ[environment.INDEX]
        if not node.isdigit() or int(node) >= nodes:
            raise SettingsError(f"{environment.INDEX}={node!r}: expected the number of one of {nodes} nodes, from 0")
        return cls(int(processes), nodes, int(node), f"{environ[MASTER_ADDRESS]}:{environ[MASTER_PORT]}")


class RankRecord(Document):
    """How one rank ended, written by itself: exit code, unix time in microseconds, message."""

    code: int
    time_us: int
    message: str


def launch(
    command: Sequence[str], layout: Layout, records: Path, *, grace_s: float = 30.0, rendezvous_s: int = _RENDEZVOUS_S
) -> tuple[int, str]:
    """Run the command once a rank and wait.

    Args:
        command: Program and arguments; each rank finds its place in `RANK`, `WORLD_SIZE` and so on.
        layout: Processes and nodes.
        records: Empty folder where ranks leave `<local rank>.json`, see `RankRecord`, or `<local rank>.done`.
        grace_s: Time between SIGTERM and SIGKILL.
        rendezvous_s: How long the nodes wait for one another.

    Returns:
        The exit code and, where a rank left one, its message.

    Raises:
        InfrastructureError: If the nodes do not find one another.
    """
    from torch.distributed import DistError
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError
    from torch.distributed.launcher.api import launch_agent

    with _Watch(layout.processes, records, patience_s(grace_s)):
        try:
            launch_agent(_elastic(layout, rendezvous_s), command[0], list(command[1:]))
        except ChildFailedError as error:
            codes = {failure.local_rank: failure.exitcode for failure in error.failures.values()}
            return first_failure(codes, read_records(records))
        except (DistError, RendezvousError) as error:
            raise InfrastructureError(
                f"{layout.nodes} nodes did not meet at {layout.endpoint or 'this machine'} within {rendezvous_s} s "
                f"({str(error).partition(chr(10))[0]}). Check that all of them run and reach node 0"
            ) from error
    return 0, ""


def granted_s(environ: Mapping[str, str]) -> float:
    """Return the seconds between SIGTERM and SIGKILL that the platform grants.

    Raises:
        SettingsError: If what it says is no number.
    """
    given = environ.get(GRACE) or "30"
    try:
        return float(given)
    except ValueError as error:
        raise SettingsError(f"{GRACE}={given!r}: expected seconds") from error


def patience_s(grace_s: float) -> float:
    """Return how much of a grace period is the training's own, seconds."""
    return max(0.0, grace_s - _MARGIN_S)


def first_failure(codes: Mapping[int, int], records: Mapping[int, RankRecord]) -> tuple[int, str]:
    """Return exit code and message of the rank that failed first.

    A rank that crashed natively, or failed before it could leave a record, takes the others with it, so it comes
    first; a killed one may have been killed because another failed, so it comes last.

    Args:
        codes: By rank, in the order in which they were noticed; negative for a signal.
        records: By rank, of those that ended by themselves.
    """
    ours = (-signal.SIGKILL, -signal.SIGTERM)
    crashed = [code for code in codes.values() if code < 0 and code not in ours]
    if crashed:
        return 128 - crashed[0], f"a rank died of {signal.Signals(-crashed[0]).name}"
    if silent := [code for rank, code in codes.items() if code > 0 and rank not in records]:
        return silent[0], ""
    if recorded := sorted((records[rank] for rank in codes if rank in records), key=lambda record: record.time_us):
        return recorded[0].code, recorded[0].message
    code = next(iter(codes.values()))
    return 128 - code, f"a rank died of {signal.Signals(-code).name}"


def read_records(folder: Path) -> dict[int, RankRecord]:
    """Return what the ranks left, by local rank; an unfinished record counts as none."""
    found = {}
    for path in folder.glob("*.json"):
        with suppress(ValidationError):
            found[int(path.stem)] = RankRecord.read_json(path.read_bytes())
    return found


def die_with_parent() -> None:
    """Have the kernel kill this rank when its launcher dies: elastic starts ranks in sessions of their own."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class _Watch:
    """While inside: SIGTERM and SIGINT go to the ranks as SIGTERM; whoever is left at a deadline is killed.

    Args:
        processes: Ranks of this node.
        records: Where those that end well say so.
        patience_s: From a signal to the deadline, seconds; from a rank's failure it is a few.
    """

    def __init__(self, processes: int, records: Path, patience_s: float) -> None:
        self._processes, self._records, self._patience_s = processes, records, patience_s
        self._asked, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self._before = {number: signal.signal(number, self._received) for number in (signal.SIGTERM, signal.SIGINT)}
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _received(self, _number: int, _frame: FrameType | None) -> None:
        self._asked.set()

    def _watch(self) -> None:
        """Tell every rank once, also one that is still being started."""
        since_failure = since_signal = math.inf
        told: set[int] = set()
        while not self._over.wait(_POLL_S):
            ranks, now = _running_ranks(), time.monotonic()
            since_failure = min(since_failure, now) if self._has_lost_one(ranks) else math.inf
            if self._asked.is_set():
                since_signal = min(since_signal, now)
                _each(ranks, lambda rank: rank.terminate(), but=told)
                told |= ranks.keys()
            if now > min(since_failure + _AFTER_A_FAILURE_S, since_signal + self._patience_s):
                _each(ranks, lambda rank: rank.kill())

    def _has_lost_one(self, ranks: Mapping[int, psutil.Process]) -> bool:
        """Whether some rank runs and another one has ended badly."""
        return bool(ranks) and len(ranks) + len(list(self._records.glob(f"*{DONE}"))) < self._processes


def _running_ranks() -> dict[int, psutil.Process]:
    """Return those of this process's children that are ranks and run, by id; a launcher may have others."""
    found = {}
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if child.status() != psutil.STATUS_ZOMBIE and _RANK in child.environ():
                found[child.pid] = child
    return found


def _each(
    ranks: Mapping[int, psutil.Process], act: Callable[[psutil.Process], None], *, but: Collection[int] = ()
) -> None:
    for pid, rank in ranks.items():
        if pid not in but:
            with suppress(psutil.NoSuchProcess):
                act(rank)


def _elastic(layout: Layout, rendezvous_s: int) -> LaunchConfig:
    from torch.distributed.launcher.api import LaunchConfig

    alone = layout.nodes == 1
    return LaunchConfig(
        min_nodes=layout.nodes,
        max_nodes=layout.nodes,
        nproc_per_node=layout.processes,
        run_id="touge",
        rdzv_backend="c10d" if alone else "static",
        rdzv_endpoint="127.0.0.1:0" if alone else layout.endpoint,
        rdzv_configs={"timeout": rendezvous_s, **({} if alone else {"rank": layout.node})},
        max_restarts=0,
        local_addr="127.0.0.1" if alone else None,
        signals_to_handle="SIGHUP,SIGQUIT",
    )


def _resources(environ: Mapping[str, str]) -> tuple[int, int]:
    """Return GPUs a node and nodes of the plan's recipe."""
    try:
        resources = Plan.read_json(Path(environ.get(environment.PLAN, os.devnull)).read_bytes()).recipe.resources
    except (OSError, ValidationError):
        return 1, 1
    return resources.gpus or 1, resources.nodes
