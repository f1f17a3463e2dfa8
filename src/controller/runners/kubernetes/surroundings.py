"""What is worth reading beside Jobs and pods while something waits: events, and Kueue's Workloads.

Asked for only where something waits; what we may not read is not shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from controller.runners.kubernetes.client import EVENTS, Cluster, Object, Resource
from controller.runners.kubernetes.pods import over
from controller.runners.kubernetes.refusals import NotAllowed

_KUEUE = "kueue.x-k8s.io"
_QUEUE, _JOB_UID = f"{_KUEUE}/queue-name", f"{_KUEUE}/job-uid"
#: Things that wait alike; more of them say no more.
_ENOUGH = 8


def events_about(cluster: Cluster, jobs: Sequence[Object], pods: Sequence[Object]) -> tuple[Object, ...]:
    """Return events about pods that have not begun, and about Jobs without pods."""
    owned = {o["uid"] for pod in pods for o in pod["metadata"].get("ownerReferences") or ()}
    waiting = [pod for pod in pods if pod.get("status", {}).get("phase", "Pending") == "Pending" and not over(pod)]
    idle = [job for job in jobs if job["metadata"]["uid"] not in owned and not _finished(job)]
    return tuple(event for thing in [*idle, *waiting][:_ENOUGH] for event in _events(cluster, thing))


def workloads_of(cluster: Cluster, jobs: Iterable[Object]) -> dict[str, Object]:
    """Return Kueue's Workloads of suspended Jobs, by the Job's uid."""
    queued = [job for job in jobs if job["spec"].get("suspend") and _QUEUE in (job["metadata"].get("labels") or {})]
    if not queued or (version := cluster.serves(_KUEUE)) is None:
        return {}
    try:
        found = cluster.list(Resource(f"{_KUEUE}/{version}", "workloads"), _JOB_UID).items
    except NotAllowed:
        return {}
    return {item["metadata"]["labels"][_JOB_UID]: item for item in found}


def _events(cluster: Cluster, thing: Object) -> tuple[Object, ...]:
    try:
        return cluster.list(EVENTS, fields=f"involvedObject.uid={thing['metadata']['uid']}").items
    except NotAllowed:
        return ()


def _finished(job: Object) -> bool:
    conditions = job.get("status", {}).get("conditions") or ()
    return any(item["type"] in {"Complete", "Failed"} and item["status"] == "True" for item in conditions)
