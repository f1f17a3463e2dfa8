"""Whether a task that failed is tried again, and when: design §5, exit codes and failures. Pure.

Stands between the executions that a runner saw and reconcile. The meaning of each exit code is
`touge.contract.exit_codes`; here is only the counting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.state import Execution, Reason, State
from touge.contract.exit_codes import Consequence, ExitCode, Rule, rule_for

#: What a runner says where the kernel killed an execution for memory.
OOM_KILLED = "OOMKilled"

_LOST = Rule(-1, Reason.LOST, Consequence.RETRY, "disappeared without an exit code: its machine or its keeper died")
_NOT_COMMITTED = Rule(
    0, "NotCommitted", Consequence.FAIL, "ended well but committed nothing: this is a bug of the stage"
)
_HOST_MEMORY = Rule(
    137, Reason.HOST_MEMORY, Consequence.FAIL, "out of host memory: give the stage more, or use fewer shards"
)
#: Ends that the runner knows more about than an exit code tells.
_BY_REASON = {
    rule.reason: rule
    for rule in (
        Rule(-2, Reason.DISRUPTED, Consequence.RETRY, "the cluster took it away: evicted, preempted, or its node"),
        Rule(-3, Reason.REFUSED, Consequence.FAIL, "the cluster refuses it"),
        Rule(-4, Reason.DEADLINE_EXCEEDED, Consequence.FAIL, "waited and ran for too long"),
    )
}


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient the controller is.

    Args:
        retries: Infrastructure failures of one task that are tried again.
        crashes: Native crashes of one task that are tried again.
        stalls: Interruptions of one task without a new checkpoint that are tried again.
        backoff_s: Wait after the first counted failure; doubled with each further one.
        backoff_cap_s: Longest wait.
        parallel: Executions of one run at work at once.
        unschedulable_s: How long an execution may be without a node before that is called unschedulable.
        replace_lost_s: How long a node that is lost is waited for before its execution is given up and tried again;
            None waits for ever, because a container that nobody sees may still run.
    """

    retries: int = 5
    crashes: int = 1
    stalls: int = 3
    backoff_s: float = 2.0
    backoff_cap_s: float = 300.0
    parallel: int = 1_000_000
    unschedulable_s: float = 30.0
    replace_lost_s: float | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again, not before `at_us`."""

    at_us: int
    last: Execution
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The task failed for good; `first` is the execution that began it."""

    first: Execution
    reason: Reason
    message: str


def judge(ended: Sequence[Execution], policy: Policy) -> Retry | GiveUp:
    """Decide about a task that is not committed; where one is still at work, only to give up matters.

    Args:
        ended: Its executions of this try, at least one, in the order in which they were started.
        policy: How often each kind of failure is forgiven.
    """
    last, rule = ended[-1], _rule(ended[-1])
    counted = _counted(ended)
    alike = [execution for execution in counted if _rule(execution).consequence is rule.consequence]
    match rule.consequence:
        case Consequence.RETRY:
            allowed, reason = policy.retries, Reason(rule.reason)
        case Consequence.RETRY_ONCE:
            allowed, reason = policy.crashes, Reason(rule.reason)
        case Consequence.RESUME:
            allowed, reason = policy.stalls, Reason.NO_PROGRESS
        case _:
            return GiveUp(last, Reason(rule.reason), last.message or rule.meaning)
    if len(alike) > allowed:
        return GiveUp(alike[0], reason, f"{alike[0].message or rule.meaning} ({len(alike)} times; given up)")
    wait_s = _backoff_s(len(counted), policy) if last in counted else 0.0
    return Retry((last.ended_us or 0) + int(wait_s * 1e6), last, Reason(rule.reason), last.message or rule.meaning)


def _counted(ended: Sequence[Execution]) -> list[Execution]:
    """Return the failures that cost a try: neither the cluster's doing nor interruptions with a newer checkpoint."""
    counted, newest = [], 0
    for execution in ended:
        advanced = execution.exit_code == ExitCode.INTERRUPTED and execution.checkpoint > newest
        newest = max(newest, execution.checkpoint)
        if not advanced and execution.reason != Reason.DISRUPTED:
            counted.append(execution)
    return counted


def _rule(execution: Execution) -> Rule:
    if execution.state is not State.SUCCEEDED and (known := _BY_REASON.get(execution.reason)):
        return known
    match execution.exit_code:
        case None:
            return _LOST
        case ExitCode.OK:
            return _NOT_COMMITTED
        case ExitCode.KILLED if execution.reason == OOM_KILLED:
            return _HOST_MEMORY
        case code:
            return rule_for(code)


def _backoff_s(failures: int, policy: Policy) -> float:
    return float(min(policy.backoff_cap_s, policy.backoff_s * 2 ** min(failures - 1, 60)))
