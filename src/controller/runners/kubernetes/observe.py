"""Jobs, pods and events of a run -> its executions. Pure.

Says whose pod is whose and whose event speaks of what; `jobs` and `pods` say what follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller.manifests.job import SHARD, STAGE_LABEL
from controller.runners.kubernetes.jobs import Attempt, Seen, executions_of
from controller.runners.kubernetes.pods import Object, Sighting, condition, execution_of, index_of
from controller.state import Execution, Task


@dataclass(frozen=True, slots=True)
class Sight:
    """What is seen of a run.

    Args:
        jobs: Its Jobs.
        pods: Its pods.
        now_us: Unix time in microseconds.
        events: Events about them.
        workloads: Kueue's Workloads, by the uid of the Job that they queue.
        unmet: Tells why no node fits a pod; empty where nobody can.
    """

    jobs: Sequence[Object]
    pods: Sequence[Object]
    now_us: int
    events: Sequence[Object] = ()
    workloads: Mapping[str, Object] = field(default_factory=dict)
    unmet: Callable[[Object], str] = lambda _pod: ""


def observed(sight: Sight) -> list[Seen]:
    """Return the executions of a run with their pods, those of older Jobs first."""
    pods = sorted(sight.pods, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]))
    told = _Told(sight)
    seen: list[Seen] = []
    uids = {job["metadata"]["uid"] for job in sight.jobs}
    for job in sorted(sight.jobs, key=lambda job: (job["metadata"]["creationTimestamp"], job["metadata"]["name"])):
        mine = [pod for pod in pods if _owner(pod) == job["metadata"]["uid"]]
        seen += executions_of(Attempt(job, mine, told.waiting(job), told.execution))
    seen += _orphans((pod for pod in pods if _owner(pod) not in uids), told)
    return seen


@dataclass(frozen=True, slots=True)
class _Told:
    """What events and queues tell of a Job or a pod."""

    sight: Sight

    def execution(self, pod: Object, task: Task) -> Execution:
        unplaced = condition(pod, "PodScheduled").get("status") == "False"
        unmet = self.sight.unmet(pod) if unplaced else ""
        return execution_of(Sighting(pod, task, self._about(pod), unmet, self.sight.now_us))

    def waiting(self, job: Object) -> str:
        """Return why a Job has no pods."""
        if job["spec"].get("suspend"):
            return _queue(self.sight.workloads.get(job["metadata"]["uid"]), job)
        failing = [event for event in self._about(job) if event.get("reason") == "FailedCreate"]
        return f"the cluster refuses its pods: {failing[-1]['message']}" if failing else ""

    def _about(self, thing: Object) -> list[Object]:
        uid = thing["metadata"]["uid"]
        found = [event for event in self.sight.events if event.get("involvedObject", {}).get("uid") == uid]
        return sorted(found, key=lambda e: e.get("lastTimestamp") or e.get("eventTime") or "")


def _orphans(pods: Iterable[Object], told: _Told) -> Iterator[Seen]:
    """Yield executions whose Job is gone: they end, and until then nobody may start the next attempt."""
    for pod in pods:
        labels: Mapping[str, Any] = pod["metadata"]["labels"]
        stage = labels[STAGE_LABEL]
        shard = int(labels.get(SHARD, index_of(pod))) if stage.endswith("-map") else 0
        if shard == 0 and not stage.endswith("-map") and index_of(pod) > 0:
            continue
        yield Seen(told.execution(pod, Task(stage=stage, shard=shard)), pod)


def _owner(pod: Object) -> str:
    return next((str(o["uid"]) for o in pod["metadata"].get("ownerReferences") or () if o.get("controller")), "")


def _queue(workload: Object | None, job: Object) -> str:
    """Return what Kueue says about a Job that it holds back."""
    queue = job["metadata"].get("labels", {}).get("kueue.x-k8s.io/queue-name")
    if workload is None:
        return f"waits in queue {queue}" if queue else "it is suspended; whoever suspended it must resume it"
    conditions = workload.get("status", {}).get("conditions") or ()
    told = {item["type"]: item for item in conditions}
    if (evicted := told.get("Evicted", {})).get("status") == "True":
        return f"waits in queue {queue} again: {evicted.get('reason', '')}: {evicted.get('message', '')}"
    reserved = told.get("QuotaReserved") or told.get("Admitted") or {}
    return f"waits in queue {queue}: {reserved.get('reason', '')}: {reserved.get('message', '')}".rstrip(": ")
