"""Where runs are: on this machine or in a cluster. The one place where the settings choose the adapters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from controller.attendance import Attendance, Locks
from controller.follow import Desk
from controller.operate.feed import Feed, poll
from controller.records import FileRecords
from controller.retries import Policy
from controller.runners.local import COMMANDS, LocalRunner
from controller.settings import LOCAL_STORE, Settings
from touge.contract.plan import StageName
from touge.storage import open_store

if TYPE_CHECKING:
    from controller.runners.kubernetes.client import Cluster
    from controller.runners.kubernetes.runner import KubernetesRunner

#: Between two looks of `operate` at all runs of this machine; a store elsewhere is asked less often.
_POLL_S = 1.0
_NEAR_S, _FAR_S = 0.3, 3.0


@dataclass(frozen=True, slots=True)
class Place:
    """What a verb works with, and who else works there.

    Args:
        name: In a few words.
        desk: Records, runner and store.
        attendance: Who works on runs.
        feed: Tells `operate` which runs may have changed.
        listens: Address on which `operate` listens unless told; empty: every one.
        cluster: Where Jobs are; None on this machine.
        templates: Reads the chart's Job templates.
    """

    name: str
    desk: Desk
    attendance: Attendance
    feed: Feed
    listens: str
    cluster: Cluster | None = None
    templates: Callable[[], list[dict[str, Any]]] = list


def on_this_machine(
    settings: Settings,
    commands: Mapping[StageName, Sequence[str]] | None,
    environ: Mapping[str, str],
    clock: Callable[[], int],
) -> Place:
    """Return the place where stages are processes.

    Args:
        settings: Where records and artifacts lie.
        commands: What runs each stage; None: the real ones.
        environ: The environment of which stages see a part.
        clock: Unix time in microseconds.
    """
    records, store = FileRecords(settings.home), open_store(settings.store or LOCAL_STORE)
    runner = LocalRunner(records.home, commands or COMMANDS, environ)
    pause_s = _NEAR_S if store.uri.startswith("file://") else _FAR_S
    desk = Desk(records, runner, store, Policy(parallel=runner.parallel), clock, pause_s)
    return Place("this machine", desk, Locks(records.home), poll(records, max(pause_s, _POLL_S)), "127.0.0.1")


def in_cluster(settings: Settings, clock: Callable[[], int]) -> Place:
    """Return the place where stages are Jobs in one namespace.

    Raises:
        SettingsError: If no cluster is known here.
    """
    from controller.runners.kubernetes.attendance import ClusterAttendance
    from controller.runners.kubernetes.desk import kubernetes_desk
    from controller.runners.kubernetes.watch import changes

    desk = kubernetes_desk(
        namespace=settings.namespace,
        context=settings.context,
        release=settings.release,
        store=open_store(settings.store) if settings.store else None,
        clock=clock,
        replace_lost_s=settings.replace_lost_s,
    )
    runner = cast("KubernetesRunner", desk.runner)
    return Place(
        name=f"namespace {runner.cluster.namespace}",
        desk=desk,
        attendance=ClusterAttendance(runner.cluster, settings.release, clock),
        feed=partial(changes, runner.cluster),
        listens="",
        cluster=runner.cluster,
        templates=runner.records.templates,
    )
