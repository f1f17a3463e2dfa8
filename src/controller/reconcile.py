"""What is wanted + what is seen -> what is said and what is done: one pure function, level-triggered.

Every controller (a `submit` that follows, a detached one, later one in the cluster) runs it over and
over; it remembers nothing but the status that it is given back. Two of them at once are harmless:
an action is named by task and attempt, and a runner does each at most once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from controller.memory import remembered
from controller.retries import GiveUp, Policy, Retry, judge
from controller.state import (
    Action,
    Cause,
    Execution,
    Reason,
    RunSpec,
    RunStatus,
    StageStatus,
    Start,
    State,
    Stop,
    Task,
)
from touge.contract.exit_codes import ExitCode
from touge.contract.plan import Plan, Stage
from touge.contract.report import Verdict

#: How active states are summed up: the first that any execution is in.
_PRECEDENCE = (State.RUNNING, State.STARTING, State.PULLING, State.UNSCHEDULABLE, State.RETRYING, State.QUEUED)


@dataclass(frozen=True, slots=True)
class World:
    """What is seen: executions by the runner, and then (in this order) commits in the store."""

    executions: tuple[Execution, ...] = ()
    committed: frozenset[Task] = frozenset()
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What to record, then what to do."""

    status: RunStatus
    actions: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True)
class _View:
    """One task: its committed mark, its executions of this try, and what follows from them."""

    task: Task
    committed: bool
    attempts: tuple[Execution, ...]
    next_attempt: int
    outlook: Retry | GiveUp | None = field(default=None)

    @property
    def active(self) -> tuple[Execution, ...]:
        return tuple(execution for execution in self.attempts if not execution.ended)

    @property
    def state(self) -> State:
        if self.committed:
            return State.SUCCEEDED
        if self.active:
            return self.active[-1].state
        if isinstance(self.outlook, GiveUp):
            return State.FAILED
        return State.RETRYING if self.outlook else State.QUEUED

    @property
    def message(self) -> str:
        if self.outlook:
            return self.outlook.message
        return next((execution.message for execution in self.active if execution.message), "")


def reconcile(spec: RunSpec, previous: RunStatus | None, world: World, now_us: int, policy: Policy) -> Decision:
    """Return the run's status and what to do about it.

    Args:
        spec: What is wanted.
        previous: The status recorded last, or None at first.
        world: What is seen now.
        now_us: Unix time in microseconds.
        policy: How often each kind of failure is forgiven, and how many executions may run at once.
    """
    executions = remembered(previous.executions if previous else (), world.executions, now_us, policy)
    if previous and previous.state.terminal and previous.retry == spec.retry:
        return Decision(previous, _stops(executions))
    views = _views(spec, executions, world.committed, policy)
    state, reason, message, actions = _decide(spec, views, executions, now_us, policy)
    failures = [view.outlook for view in views.values() if isinstance(view.outlook, GiveUp)]
    actions += _stops_of_lost(world.executions, executions)
    status = RunStatus(
        state=state,
        reason=reason,
        message=message,
        retry=spec.retry,
        cause=None if state is State.SUCCEEDED else _cause(spec, previous, failures),
        stages=tuple(_stage_status(stage, spec, views, previous, now_us) for stage in spec.plan.stages),
        executions=executions,
        verdict=world.verdict,
        started_us=min((e.started_us for e in executions if e.started_us), default=None),
        ended_us=now_us if state.terminal else None,
    )
    return Decision(status, actions)


def needed_stages(plan: Plan, committed: frozenset[Task]) -> tuple[Stage, ...]:
    """Return the stages that must still run: uncommitted ones that the report depends on by uncommitted ones."""
    wanted = {plan.stages[-1].id}
    needed: list[Stage] = []
    for stage in reversed(plan.stages):
        if stage.id in wanted and not stage_committed(stage, committed):
            needed.append(stage)
            wanted |= set(stage.inputs.values())
    return tuple(reversed(needed))


def tasks_of(stage: Stage) -> tuple[Task, ...]:
    """Return the tasks of a stage, in order of their shards."""
    return tuple(Task(stage=stage.name, shard=index) for index in range(stage.shards))


def stage_committed(stage: Stage, committed: frozenset[Task]) -> bool:
    """Return whether all shards of a stage are committed."""
    return all(task in committed for task in tasks_of(stage))


def _views(
    spec: RunSpec, executions: Sequence[Execution], committed: frozenset[Task], policy: Policy
) -> dict[Task, _View]:
    return {
        task: _view(task, spec, [e for e in executions if e.task == task], policy, committed=task in committed)
        for stage in spec.plan.stages
        for task in tasks_of(stage)
    }


def _view(task: Task, spec: RunSpec, executions: Sequence[Execution], policy: Policy, *, committed: bool) -> _View:
    attempts = tuple(execution for execution in executions if execution.attempt >= spec.first_attempt)
    last = max((execution.attempt for execution in executions), default=0)
    outlook = _outlook(attempts, policy) if attempts and not committed else None
    return _View(task, committed, attempts, max(spec.first_attempt, last + 1), outlook)


def _outlook(attempts: Sequence[Execution], policy: Policy) -> Retry | GiveUp | None:
    """Return what follows from ends; from those inside an attempt that goes on, only that it should not."""
    ended = [execution for execution in attempts if execution.ended]
    going_on = max((execution.attempt for execution in attempts if not execution.ended), default=None)
    if not ended or (going_on is not None and ended[-1].attempt != going_on):
        return None
    outlook = judge(ended, policy)
    return outlook if going_on is None or isinstance(outlook, GiveUp) else None


def _decide(
    spec: RunSpec, views: Mapping[Task, _View], executions: Sequence[Execution], now_us: int, policy: Policy
) -> tuple[State, Reason, str, tuple[Action, ...]]:
    stops = _stops(executions)
    committed = frozenset(task for task, view in views.items() if view.committed)
    needed = needed_stages(spec.plan, committed)
    if not needed:
        return State.SUCCEEDED, Reason.COMPLETED, "", _stops(e for e in executions if e.task not in committed)
    if spec.cancel:
        state, reason = (State.RUNNING, Reason.CANCELLING) if stops else (State.CANCELLED, Reason.CANCELLED)
        return state, reason, "a person asked for it", stops
    waiting = [view for stage in needed for task in tasks_of(stage) if not (view := views[task]).committed]
    if failure := _failure(spec, waiting, now_us):
        reason, message = failure
        return (State.RUNNING if stops else State.FAILED), reason, message, stops
    starts = _starts(spec.plan, needed, views, committed, now_us, policy)
    state, message = _summary(waiting)
    return state, Reason.NONE, message, starts


def _failure(spec: RunSpec, waiting: Sequence[_View], now_us: int) -> tuple[Reason, str] | None:
    """Return why the run must end, once nothing is left that should go on."""
    if late := _overdue(spec, waiting, now_us):
        return late
    failed = [(view.task, view.outlook) for view in waiting if isinstance(view.outlook, GiveUp)]
    if not failed or (_only_bad_data(failed) and _siblings_go_on(failed[0][0], waiting)):
        return None
    lines = [f"{task}: {outlook.message}" for task, outlook in failed]
    return failed[0][1].reason, "\n".join(lines)


def _only_bad_data(failed: Sequence[tuple[Task, GiveUp]]) -> bool:
    """Return whether only shards of a mapped stage failed, each on its own data (11): the others may finish."""
    return all(o.first.exit_code == ExitCode.DATA and task.stage.endswith("-map") for task, o in failed)


def _siblings_go_on(task: Task, waiting: Sequence[_View]) -> bool:
    return any(view.task.stage == task.stage and not isinstance(view.outlook, GiveUp) for view in waiting)


def _overdue(spec: RunSpec, waiting: Sequence[_View], now_us: int) -> tuple[Reason, str] | None:
    limit_us = int(spec.plan.recipe.limits.hours * 3600e6)
    for view in waiting:
        began = min((e.started_us for e in view.attempts if e.started_us), default=now_us)
        until = now_us if view.active else max((e.ended_us or 0 for e in view.attempts), default=0)
        if until - began > limit_us:
            hours = spec.plan.recipe.limits.hours
            return (
                Reason.DEADLINE_EXCEEDED,
                f"{view.task} ran for more than limits.hours = {hours:g}; raise it and retry",
            )
    return None


def _starts(
    plan: Plan,
    needed: Sequence[Stage],
    views: Mapping[Task, _View],
    committed: frozenset[Task],
    now_us: int,
    policy: Policy,
) -> tuple[Start, ...]:
    by_id = {stage.id: stage for stage in plan.stages}
    ready = [
        view
        for stage in needed
        if all(stage_committed(by_id[i], committed) for i in stage.inputs.values() if i in by_id)
        for task in tasks_of(stage)
        if _may_start(view := views[task], now_us)
    ]
    free = max(0, policy.parallel - sum(len(view.active) for view in views.values()))
    return tuple(Start(task=view.task, attempt=view.next_attempt) for view in ready[:free])


def _may_start(view: _View, now_us: int) -> bool:
    if view.committed or view.active or isinstance(view.outlook, GiveUp):
        return False
    return view.outlook is None or now_us >= view.outlook.at_us


def _stops(executions: Iterable[Execution]) -> tuple[Stop, ...]:
    return tuple(Stop(task=e.task, attempt=e.attempt) for e in executions if not e.ended)


def _stops_of_lost(seen: Iterable[Execution], known: Iterable[Execution]) -> tuple[Stop, ...]:
    """Return stops of attempts that are given up with their node; shards share theirs with others that go on."""
    over = {(e.task, e.attempt, e.uid) for e in known if e.ended}
    alive = (e for e in seen if not e.ended and (e.task, e.attempt, e.uid) in over)
    return _stops(e for e in alive if not e.task.stage.endswith("-map"))


def _summary(waiting: Sequence[_View]) -> tuple[State, str]:
    """Return the furthest state of any task and, where it says why, its message."""
    state = min((view.state for view in waiting if view.state in _PRECEDENCE), key=_PRECEDENCE.index)
    return state, next((f"{view.task}: {view.message}" for view in waiting if view.state is state and view.message), "")


def _cause(spec: RunSpec, previous: RunStatus | None, failures: Sequence[GiveUp]) -> Cause | None:
    """Keep the cause that was found first in this try."""
    if previous and previous.retry == spec.retry and previous.cause:
        return previous.cause
    if not failures:
        return None
    first = min(failures, key=lambda failure: failure.first.ended_us or 0)
    return Cause(
        task=first.first.task,
        attempt=first.first.attempt,
        reason=first.reason,
        exit_code=first.first.exit_code,
        message=first.message,
        log_tail=first.first.log_tail,
    )


def _stage_status(
    stage: Stage, spec: RunSpec, views: Mapping[Task, _View], previous: RunStatus | None, now_us: int
) -> StageStatus:
    mine = [views[task] for task in tasks_of(stage)]
    committed = frozenset(task for task, view in views.items() if view.committed)
    attempts = [execution for view in mine for execution in view.attempts]
    state, reason = _stage_state(stage, mine, needed=stage in needed_stages(spec.plan, committed))
    done = state is State.SUCCEEDED
    before = next((known for known in previous.stages if known.name == stage.name), None) if previous else None
    return StageStatus(
        name=stage.name,
        id=stage.id,
        state=state,
        reason=reason,
        message=_first_message(mine, named=stage.mapped) if not done else "",
        done=stage.shards if done else sum(view.committed for view in mine),
        shards=stage.shards,
        attempts=max((view.attempts[-1].attempt for view in mine if view.attempts), default=0),
        started_us=min((e.started_us for e in attempts if e.started_us), default=None),
        ended_us=(before and before.ended_us) or now_us if done and attempts else None,
    )


def _first_message(views: Sequence[_View], *, named: bool) -> str:
    first = next((view for view in views if view.message), None)
    if first is None:
        return ""
    return f"{first.task}: {first.message}" if named else first.message


def _stage_state(stage: Stage, mine: Sequence[_View], *, needed: bool) -> tuple[State, Reason]:
    if not needed:
        ours = Reason.COMPLETED if any(view.attempts for view in mine) else Reason.REUSED
        return State.SUCCEEDED, ours if all(view.committed for view in mine) else Reason.NOT_NEEDED
    failed = next((view.outlook for view in mine if isinstance(view.outlook, GiveUp)), None)
    if failed:
        return State.FAILED, failed.reason
    open_states = [view.state for view in mine if not view.committed]
    if stage.mapped and any(view.committed for view in mine) and State.QUEUED in open_states:
        open_states = [State.RUNNING if state is State.QUEUED else state for state in open_states]
    state = min(open_states, key=_PRECEDENCE.index)
    waiting = next((view.outlook for view in mine if view.state is state and view.outlook), None)
    return state, waiting.reason if waiting else Reason.NONE
