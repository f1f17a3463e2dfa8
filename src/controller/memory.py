"""What was known of a run's executions + what is seen of them now -> what is known. Pure.

First step of reconcile. An end stays as it was first seen, whatever becomes of the pod; who vanished without an end is
lost; who stands for an attempt makes way for its executions.
"""

from __future__ import annotations

from collections.abc import Iterable

from controller.retries import Policy
from controller.state import Execution, Reason, State
from touge.contract.exit_codes import ExitCode

#: What a runner says of an execution whose node does not answer any more.
NODE_LOST = "NodeLost"
#: Reasons that a vanished execution keeps; all others are then only lost.
_KEPT = frozenset({Reason.DISRUPTED, Reason.DEADLINE_EXCEEDED})

_Key = tuple[str, int, int, str]


def remembered(
    known: Iterable[Execution], seen: Iterable[Execution], now_us: int, policy: Policy
) -> tuple[Execution, ...]:
    """Return every execution that counts, in order of their start.

    Args:
        known: As recorded last.
        seen: As the runner sees them.
        now_us: Unix time in microseconds.
        policy: How long to wait for a lost node and for a place.
    """
    merged = {_key(execution): _patient(execution, now_us, policy) for execution in seen}
    spoken = {(e.task, e.attempt): e for e in merged.values() if e.placeholder and e.ended}
    for execution in known:
        if execution.ended:
            merged[_key(execution)] = execution
        elif _key(execution) not in merged and not execution.placeholder:
            merged[_key(execution)] = _vanished(execution, spoken.get((execution.task, execution.attempt)), now_us)
    told = {(e.task, e.attempt) for e in merged.values() if _tells(e)}
    kept = (e for e in merged.values() if not (e.placeholder and e.ended and (e.task, e.attempt) in told))
    return tuple(sorted(kept, key=lambda e: (e.attempt, *_began(e), _key(e))))


def _patient(execution: Execution, now_us: int, policy: Policy) -> Execution:
    """Return the execution; without a node for a while only it is queued, on a lost node for too long it has ended."""
    if execution.since_us is None:
        return execution
    waited_s = (now_us - execution.since_us) / 1e6
    if execution.state is State.UNSCHEDULABLE and waited_s < policy.unschedulable_s:
        return execution.model_copy(update={"state": State.QUEUED})
    given_up = policy.replace_lost_s is not None and waited_s >= policy.replace_lost_s
    if execution.reason == NODE_LOST and not execution.ended and given_up:
        return execution.model_copy(update={"state": State.FAILED, "reason": Reason.LOST, "ended_us": now_us})
    return execution


def _vanished(execution: Execution, spokesman: Execution | None, now_us: int) -> Execution:
    """Return an execution that is gone, with the end that its attempt tells, if it does."""
    if spokesman:
        told = spokesman.model_dump(include={"state", "reason", "message", "exit_code", "ended_us"})
        return execution.model_copy(update=told | {"state": spokesman.state})
    reason = execution.reason if execution.reason in _KEPT else Reason.LOST
    return execution.model_copy(update={"state": State.FAILED, "reason": reason, "ended_us": now_us})


def _tells(execution: Execution) -> bool:
    """Whether it says how its attempt ended: an execution that the same attempt does not replace."""
    replaced = execution.reason == Reason.DISRUPTED or execution.exit_code == ExitCode.INTERRUPTED
    return execution.ended and not execution.placeholder and not replaced


def _began(execution: Execution) -> tuple[int, int]:
    """Return when it began, for sorting; those that have not begun come last."""
    at = execution.started_us or execution.ended_us
    return (0, at) if at else (1, 0)


def _key(execution: Execution) -> _Key:
    return execution.task.stage, execution.task.shard, execution.attempt, execution.uid
