"""A Job and its pods -> the executions of an attempt. Pure.

A Job is an attempt and may see several executions: what Kubernetes evicts, it replaces inside the same Job. Where no
pod can be seen, a placeholder speaks for the attempt, so that nobody starts it twice and no end is missed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.manifests.job import ATTEMPT, SHARD, STAGE_LABEL
from controller.runners.kubernetes import pods as of_pod
from controller.runners.kubernetes.pods import Object, condition, microseconds
from controller.state import Execution, Reason, State, Task
from touge.contract.exit_codes import ExitCode, rule_for
from touge.contract.plan import StageName

#: How the Job controller words the end that a podFailurePolicy decided.
_EXIT = re.compile(r"for pod \S+?/(?P<pod>\S+).*? failed with exit code (?P<code>\d+)")
#: Ends of pods that were stopped because another one failed.
_FOLLOWING = frozenset({ExitCode.INTERRUPTED, ExitCode.KILLED, ExitCode.TERMINATED})
_BEHIND = (State.QUEUED, State.UNSCHEDULABLE, State.PULLING, State.STARTING, State.RUNNING)


@dataclass(frozen=True, slots=True)
class Seen:
    """An execution, and the pod whose log tells of it (None where there is none)."""

    execution: Execution
    pod: Object | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A Job with its pods.

    Args:
        job: The Job.
        pods: Its pods, oldest first.
        waiting: Why it has no pods where it should, if anybody says so.
        execution: Turns one of its pods into an execution.
    """

    job: Object
    pods: Sequence[Object]
    waiting: str
    execution: Callable[[Object, Task], Execution]

    @property
    def stage(self) -> StageName:
        """The stage that it tries."""
        name: StageName = self.job["metadata"]["labels"][STAGE_LABEL]
        return name

    @property
    def number(self) -> int:
        """Which try it is."""
        return int(self.job["metadata"]["labels"][ATTEMPT])

    @property
    def uid(self) -> str:
        """The Job's uid, under which placeholders go."""
        return str(self.job["metadata"]["uid"])

    @property
    def failure(self) -> Mapping[str, Any]:
        """The condition by which the Job failed or is about to; empty where it did not."""
        found = (condition(self.job, kind) for kind in ("Failed", "FailureTarget"))
        return next((item for item in found if item.get("status") == "True"), {})

    @property
    def complete(self) -> bool:
        """Whether all pods ended well."""
        return any(condition(self.job, kind).get("status") == "True" for kind in ("Complete", "SuccessCriteriaMet"))

    @property
    def closed(self) -> bool:
        """Whether no further pod will come."""
        return self.complete or bool(self.failure) or "deletionTimestamp" in self.job["metadata"]


def executions_of(attempt: Attempt) -> Iterator[Seen]:
    """Yield the executions of an attempt, in order of their start."""
    spec, labels = attempt.job["spec"], attempt.job["metadata"]["labels"]
    if SHARD in labels:
        yield from _of_task(attempt, Task(stage=attempt.stage, shard=int(labels[SHARD])), attempt.pods, 0)
    elif attempt.stage.endswith("-map"):
        for index in range(spec.get("completions", 1)):
            mine = [pod for pod in attempt.pods if of_pod.index_of(pod) == index]
            yield from _of_task(attempt, Task(stage=attempt.stage, shard=index), mine, index)
    elif spec.get("completions", 1) > 1:
        seen = _of_set(attempt, spec["completions"])
        nodes = of_pod.nodes_of(attempt.pods)
        yield Seen(seen.execution.model_copy(update={"nodes": nodes}), seen.pod)
    else:
        yield from _of_task(attempt, Task(stage=attempt.stage), attempt.pods, 0)


def _of_task(attempt: Attempt, task: Task, pods: Sequence[Object], index: int) -> Iterator[Seen]:
    """Yield the executions of what one pod at a time works on."""
    seen = [Seen(_marked(attempt, attempt.execution(pod, task)), pod) for pod in pods]
    yield from seen
    if any(not of_pod.over(pod) or of_pod.succeeded(pod) for pod in pods):
        return
    status = attempt.job.get("status", {})
    if attempt.complete or index in _indexes(status.get("completedIndexes")):
        yield Seen(_ended(attempt, task, State.SUCCEEDED, int(ExitCode.OK), Reason.COMPLETED, ""), None)
    elif any(not of_pod.replaced(pod) for pod in pods):
        return
    elif attempt.failure or index in _indexes(status.get("failedIndexes")):
        yield Seen(_failed(attempt, task, index), None)
    elif not attempt.closed:
        yield Seen(_queued(attempt, task, attempt.waiting), None)


def _marked(attempt: Attempt, execution: Execution) -> Execution:
    """Return the execution; where its Job ran out of time or was suspended, with that as its reason."""
    if execution.state is not State.SUCCEEDED and attempt.failure.get("reason") == Reason.DEADLINE_EXCEEDED:
        words = str(attempt.failure.get("message", ""))
        return execution.model_copy(update={"reason": Reason.DEADLINE_EXCEEDED, "message": words})
    if attempt.job["spec"].get("suspend") and not execution.ended:
        return execution.model_copy(update={"reason": Reason.DISRUPTED})
    return execution


def _queued(attempt: Attempt, task: Task, message: str) -> Execution:
    return Execution(
        task=task, attempt=attempt.number, uid=attempt.uid, state=State.QUEUED, message=message, placeholder=True
    )


def _failed(attempt: Attempt, task: Task, index: int | None) -> Execution:
    """Return the end that only the Job tells, because its pod (of an index; None: of any) is gone."""
    message, reason = str(attempt.failure.get("message", "")), attempt.failure.get("reason")
    found = _EXIT.search(message)
    indexed = attempt.job["spec"].get("completionMode") == "Indexed"
    ours = found and (
        index is None or not indexed or found["pod"].startswith(f"{attempt.job['metadata']['name']}-{index}-")
    )
    if found and ours:
        code = int(found["code"])
        return _ended(attempt, task, State.FAILED, code, rule_for(code).reason, message)
    if reason == Reason.DEADLINE_EXCEEDED:
        return _ended(attempt, task, State.FAILED, None, reason, message)
    return _ended(attempt, task, State.FAILED, None, Reason.DISRUPTED if found else Reason.LOST, message)


def _ended(attempt: Attempt, task: Task, state: State, code: int | None, reason: str, message: str) -> Execution:
    times = (attempt.failure.get("lastTransitionTime"), attempt.job["status"].get("completionTime"))
    known = next((found for time in times if (found := microseconds(time))), None)
    return Execution(
        task=task,
        attempt=attempt.number,
        uid=attempt.uid,
        state=state,
        reason=reason,
        message=message,
        exit_code=code,
        ended_us=known or microseconds(attempt.job["metadata"]["creationTimestamp"]),
        placeholder=True,
    )


def _of_set(attempt: Attempt, size: int) -> Seen:
    """Return the one execution that pods do together; it goes by the uid of node 0, which commits."""
    task = Task(stage=attempt.stage)
    latest = {of_pod.index_of(pod): pod for pod in attempt.pods}
    members = {i: _marked(attempt, attempt.execution(pod, task)) for i, pod in sorted(latest.items())}
    failed = [i for i, member in members.items() if member.state is State.FAILED]
    if failed:
        return _failed_set(attempt, members, latest, failed)
    if 0 not in members:
        return Seen(_set_without_its_head(attempt, task, members, size), None)
    head = members[0]
    if attempt.failure and all(member.ended for member in members.values()):
        return Seen(head.model_copy(update=_told_by_job(attempt)), latest[0])
    if len(members) == size and all(member.ended for member in members.values()):
        return Seen(head, latest[0])
    return Seen(_set_at_work(members, size), latest[0])


def _set_without_its_head(attempt: Attempt, task: Task, members: Mapping[int, Execution], size: int) -> Execution:
    if attempt.failure and all(member.ended for member in members.values()):
        return _failed(attempt, task, None)
    return _queued(attempt, task, attempt.waiting or f"{len(members)} of {size} pods are there")


def _told_by_job(attempt: Attempt) -> dict[str, Any]:
    told = _failed(attempt, Task(stage=attempt.stage), None)
    return {"state": State.FAILED, "reason": told.reason, "message": told.message, "exit_code": told.exit_code}


def _failed_set(
    attempt: Attempt, members: Mapping[int, Execution], pods: Mapping[int, Object], failed: Sequence[int]
) -> Seen:
    """Return a set of which a pod has failed: at work until the others have ended, and then failed as that one."""
    first = min(failed, key=lambda i: (members[i].exit_code in _FOLLOWING, members[i].ended_us or 0, i))
    cause = members[first]
    words = f"node {first}: {cause.message or cause.reason}"
    head = members.get(0) or _queued(attempt, cause.task, "")
    if any(not member.ended for member in members.values()):
        return Seen(_at_work(head, message=f"{words}; stopping the others"), pods.get(0))
    update: dict[str, Any] = {"uid": head.uid, "started_us": head.started_us, "placeholder": head.placeholder}
    update |= {"message": words, "ended_us": max(member.ended_us or 0 for member in members.values())}
    return Seen(cause.model_copy(update=update), pods[first])


def _set_at_work(members: Mapping[int, Execution], size: int) -> Execution:
    """Return a set that is as far as the last of its pods."""
    if len(members) < size:
        return _at_work(members[0], state=State.QUEUED, message=f"{len(members)} of {size} pods are there")
    going = {i: member for i, member in members.items() if not member.ended}
    last = min(going, key=lambda i: (_BEHIND.index(going[i].state), i))
    words = f"node {last}: {going[last].message}" if going[last].message else ""
    told = {"reason": going[last].reason, "since_us": going[last].since_us}
    return _at_work(members[0], state=going[last].state, message=words, **told)


def _at_work(head: Execution, *, state: State = State.RUNNING, **told: Any) -> Execution:
    """Return an execution that goes on, though this pod of it may have ended."""
    return head.model_copy(update={"state": state, "reason": "", "exit_code": None, "ended_us": None, **told})


def _indexes(text: str | None) -> frozenset[int]:
    """Return the numbers of Kubernetes' short form, such as 1,3-5."""
    found: set[int] = set()
    for part in (text or "").split(","):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1)) if first else set()
    return frozenset(found)
