"""The desk of a controller on Kubernetes: records and Jobs in one namespace."""

from __future__ import annotations

from collections.abc import Callable

from controller.absent import AbsentStore
from controller.follow import Desk
from controller.retries import Policy
from controller.runners.kubernetes.client import Cluster
from controller.runners.kubernetes.records import ConfigMapRecords
from controller.runners.kubernetes.runner import KubernetesRunner
from touge.storage.port import Store

_PAUSE_S = 2.0


def kubernetes_desk(
    *,
    namespace: str | None,
    context: str | None,
    release: str | None,
    store: Store | None,
    clock: Callable[[], int],
    replace_lost_s: float | None = None,
) -> Desk:
    """Return what a controller works with.

    Args:
        namespace: Where runs live; None means the kubeconfig's, in a pod the pod's own.
        context: One of the kubeconfig; None means its current one.
        release: Helm release whose Job templates are used; None where the namespace has only one.
        store: Artifacts; None where they cannot be reached: then runs are shown, and seen through by others.
        clock: Unix time in microseconds.
        replace_lost_s: See `Policy`.

    Raises:
        SettingsError: If no cluster is known here.
    """
    records = ConfigMapRecords(Cluster.connect(namespace, context), release)
    runner = KubernetesRunner(records, clock)
    policy = Policy(parallel=runner.parallel, replace_lost_s=replace_lost_s)
    return Desk(records, runner, store or AbsentStore(), policy, clock, _PAUSE_S)
