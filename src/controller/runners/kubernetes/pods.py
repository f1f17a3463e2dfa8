"""A pod -> the execution that it is: how far it is, since when, why, and how it ended. Pure.

The lowest step of `observe`: it sees one pod and the events about it, and no Job.
https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controller.manifests.job import ATTEMPT
from controller.manifests.podspec import STAGE
from controller.memory import NODE_LOST
from controller.retries import OOM_KILLED
from controller.state import Execution, Reason, State, Task
from touge.contract.exit_codes import ExitCode, rule_for

Object = dict[str, Any]

INDEX = "batch.kubernetes.io/job-completion-index"
JOB_NAME = "batch.kubernetes.io/job-name"
#: A pod that is to end and has not, so long after its grace period, is on a node that does not answer.
_LATE_US = 60 * 1_000_000
_UNPULLED = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
)


@dataclass(frozen=True, slots=True)
class Sighting:
    """What is known about one pod.

    Args:
        pod: The pod.
        task: What it works on.
        events: Events about it, oldest first.
        unmet: Why no node fits it, where somebody could tell.
        now_us: Unix time in microseconds.
    """

    pod: Object
    task: Task
    events: Sequence[Object]
    unmet: str
    now_us: int


def execution_of(seen: Sighting) -> Execution:
    """Return the execution that a pod is."""
    pod = seen.pod
    common: dict[str, Any] = {
        "task": seen.task,
        "attempt": int(pod["metadata"]["labels"][ATTEMPT]),
        "uid": pod["metadata"]["uid"],
        "started_us": _started(pod),
        "nodes": nodes_of([pod]),
    }
    if over(pod):
        return Execution(**common, **_end(pod))
    if "deletionTimestamp" in pod["metadata"]:
        return Execution(**common, **_going(pod, seen.now_us))
    return Execution(**common, **(_running(pod) or _waiting(seen)))


def over(pod: Object) -> bool:
    """Whether the pod has ended."""
    return pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}


def begun(pod: Object) -> bool:
    """Whether the stage's container has run, so that it may have said something."""
    return _started(pod) is not None


def succeeded(pod: Object) -> bool:
    """Whether the pod has ended well."""
    return bool(pod.get("status", {}).get("phase") == "Succeeded")


def disrupted(pod: Object) -> bool:
    """Whether Kubernetes itself took the pod away: eviction, preemption, a taint, a node that is gone."""
    return bool(condition(pod, "DisruptionTarget").get("status") == "True")


def replaced(pod: Object) -> bool:
    """Whether the Job makes another pod for one that ended so; what `failure_policy` ignores."""
    return disrupted(pod) or exit_code(pod) == ExitCode.INTERRUPTED


def exit_code(pod: Object) -> int | None:
    """Return how the stage's container ended, if it has."""
    code = _terminated(pod).get("exitCode")
    return None if code is None else int(code)


def index_of(pod: Object) -> int:
    """Return the pod's completion index."""
    return int(pod["metadata"].get("labels", {}).get(INDEX, 0))


def nodes_of(pods: Iterable[Object]) -> tuple[str, ...]:
    """Return the names of the nodes that pods were placed on, in order."""
    return tuple(sorted({node for pod in pods if (node := pod["spec"].get("nodeName"))}))


def condition(thing: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return a condition of a pod or a Job; empty where it has none of the kind."""
    found = thing.get("status", {}).get("conditions") or ()
    return next((item for item in found if item["type"] == kind), {})


def microseconds(time: str | None) -> int | None:
    """Return Kubernetes' time as unix microseconds."""
    return round(datetime.fromisoformat(time).timestamp() * 1e6) if time else None


def _container(pod: Object) -> Mapping[str, Any]:
    found = pod.get("status", {}).get("containerStatuses") or ()
    return next((item for item in found if item["name"] == STAGE), {})


def _state(pod: Object, kind: str) -> Mapping[str, Any]:
    state: Mapping[str, Any] = (_container(pod).get("state") or {}).get(kind) or {}
    return state


def _terminated(pod: Object) -> Mapping[str, Any]:
    return _state(pod, "terminated")


def _started(pod: Object) -> int | None:
    return microseconds(_state(pod, "running").get("startedAt") or _terminated(pod).get("startedAt"))


def _end(pod: Object) -> dict[str, Any]:
    status, code = pod["status"], exit_code(pod)
    told = str(
        _terminated(pod).get("message")
        or status.get("message")
        or condition(pod, "DisruptionTarget").get("message", "")
    )
    return {
        "state": State.SUCCEEDED if succeeded(pod) else State.FAILED,
        "reason": _reason(pod, code),
        "message": "" if succeeded(pod) else told.strip(),
        "exit_code": ExitCode.OK if code is None and succeeded(pod) else code,
        "ended_us": _ended(pod),
    }


def _reason(pod: Object, code: int | None) -> str:
    """Return the reason of an end: Kubernetes' own for what it did, ours for what the stage did."""
    if not succeeded(pod) and disrupted(pod):
        return Reason.DISRUPTED
    if code and _terminated(pod).get("reason") == OOM_KILLED:
        return OOM_KILLED
    if code is None and not succeeded(pod):
        return str(pod["status"].get("reason") or Reason.LOST)
    return rule_for(code or 0).reason


def _ended(pod: Object) -> int:
    """Return when it ended; for a pod whose node never told, when that was found out."""
    times = [
        _terminated(pod).get("finishedAt"),
        condition(pod, "DisruptionTarget").get("lastTransitionTime"),
        condition(pod, "Ready").get("lastTransitionTime"),
        pod["metadata"].get("creationTimestamp"),
    ]
    return next(found for time in times if (found := microseconds(time)) is not None)


def _going(pod: Object, now_us: int) -> dict[str, Any]:
    """Return the state of a pod that was told to end."""
    due_us = microseconds(pod["metadata"]["deletionTimestamp"]) or now_us
    node = pod["spec"].get("nodeName")
    if node and now_us - due_us > _LATE_US:
        return {"state": State.RUNNING, "reason": NODE_LOST, "since_us": due_us, "message": _lost(pod, node)}
    why = str(condition(pod, "DisruptionTarget").get("message") or "it was told to end")
    reason = Reason.DISRUPTED if disrupted(pod) else ""
    return {"state": State.RUNNING if node else State.QUEUED, "reason": reason, "message": f"ending: {why}"}


def _lost(pod: Object, node: str) -> str:
    return (
        f"node {node} does not answer: pod {pod['metadata']['name']} should have ended at "
        f"{pod['metadata']['deletionTimestamp']} and its Job waits for it. If the node is gone, delete it "
        f"(`kubectl delete node {node}`); if it is switched off, taint it "
        f"(`kubectl taint node {node} node.kubernetes.io/out-of-service=nodeshutdown:NoExecute`)"
    )


def _running(pod: Object) -> dict[str, Any]:
    return {"state": State.RUNNING} if _state(pod, "running") or _terminated(pod) else {}


def _waiting(seen: Sighting) -> dict[str, Any]:
    """Return what a pod waits for: a node, an image, its volumes."""
    pod, scheduled = seen.pod, condition(seen.pod, "PodScheduled")
    if scheduled.get("status") == "False":
        gated = scheduled.get("reason") == "SchedulingGated"
        return {
            "state": State.QUEUED if gated else State.UNSCHEDULABLE,
            "message": _joined(seen.unmet, str(scheduled.get("message", ""))),
            "since_us": microseconds(scheduled.get("lastTransitionTime")),
        }
    if not pod["spec"].get("nodeName"):
        return {"state": State.QUEUED}
    waiting = _state(pod, "waiting")
    if waiting.get("reason") in _UNPULLED:
        said = waiting.get("message") or waiting["reason"]
        return {"state": State.PULLING, "message": f"{waiting['reason']}: {said}"}
    if waiting.get("reason") not in {None, "ContainerCreating", "PodInitializing"}:
        return {"state": State.STARTING, "message": f"{waiting['reason']}: {waiting.get('message', '')}".rstrip(": ")}
    return _preparing(seen.events)


def _preparing(events: Sequence[Object]) -> dict[str, Any]:
    """Return what the kubelet is at, which only events tell."""
    last = events[-1] if events else {}
    if last.get("reason") == "Pulling":
        return {"state": State.PULLING, "message": str(last.get("message", ""))}
    warning = last.get("type") == "Warning"
    return {"state": State.STARTING, "message": f"{last['reason']}: {last.get('message', '')}" if warning else ""}


def _joined(*texts: str) -> str:
    return ". ".join(text.rstrip(". ") for text in texts if text)
