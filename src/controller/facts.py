"""What is seen of a run: executions by the runner, then commits, checkpoints and the verdict in the store.

The reading half of the control loop; decides nothing and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import ValidationError

from controller.reconcile import World, tasks_of
from controller.runners.port import Runner
from controller.state import Execution, RunStatus, Task
from touge.contract.artifacts import StageRef, execution_id
from touge.contract.errors import DataError, ObjectNotFound
from touge.contract.exit_codes import ExitCode
from touge.contract.model import problems
from touge.contract.plan import Plan
from touge.contract.report import Report, Verdict
from touge.storage.execution import committed
from touge.storage.port import Store

_CHECKPOINTS, _MANIFEST = "checkpoints/step-", "/manifest.json"


def see(plan: Plan, previous: RunStatus | None, runner: Runner, store: Store) -> World:
    """Return the world as it is. Executions come first: who ended well has committed before."""
    executions = runner.observe(plan.run)
    known = {(e.task, e.attempt, e.uid): e for e in previous.executions if e.ended} if previous else {}
    executions = [known.get((e.task, e.attempt, e.uid)) or _with_checkpoint(e, plan, store) for e in executions]
    done = committed_tasks(plan, store)
    last = plan.stages[-1]
    verdict = read_verdict(plan, store) if set(tasks_of(last)) <= done else None
    return World(tuple(executions), done, verdict)


def committed_tasks(plan: Plan, store: Store) -> frozenset[Task]:
    """Return the tasks of a plan whose commit mark is in the store."""
    tasks = ((stage, task) for stage in plan.stages for task in tasks_of(stage))
    return frozenset(task for stage, task in tasks if _exists(store, task.ref(stage).committed_key))


def read_report(plan: Plan, store: Store) -> Report:
    """Return the report of a run.

    Raises:
        DataError: If there is none yet, or it is not what a report should be.
    """
    stage = plan.stage("evaluate")
    artifact = committed(store, StageRef(stage.id))
    if artifact is None:
        raise DataError(f"run {plan.run} has no report yet in {store.uri}: {stage.id} is not committed")
    try:
        return Report.read_json(artifact.read("report.json"))
    except ValidationError as error:
        raise DataError(f"report.json of {stage.id}: {'; '.join(problems(error, Report))}") from error


def read_verdict(plan: Plan, store: Store) -> Verdict:
    """Return what the gate said about a run whose report is committed."""
    return read_report(plan, store).verdict


def execution_name(plan: Plan, execution: Execution) -> str:
    """Return the execution's name in the store."""
    return execution_id(plan.run, execution.attempt, execution.uid)


def _with_checkpoint(execution: Execution, plan: Plan, store: Store) -> Execution:
    """Add the newest checkpoint's step where the retry table asks for it."""
    if execution.exit_code != ExitCode.INTERRUPTED:
        return execution
    ref = execution.task.ref(plan.stage(execution.task.stage))
    prefix = ref.execution_prefix(execution_name(plan, execution)) + _CHECKPOINTS
    return execution.model_copy(update={"checkpoint": _newest_step(prefix, (i.key for i in store.list(prefix)))})


def _newest_step(prefix: str, keys: Iterable[str]) -> int:
    """Return the highest step whose manifest is there; it is written last."""
    complete = [key.removeprefix(prefix).removesuffix(_MANIFEST) for key in keys if key.endswith(_MANIFEST)]
    return max((int(step) for step in complete if step.isdigit()), default=0)


def _exists(store: Store, key: str) -> bool:
    try:
        store.stat(key)
    except ObjectNotFound:
        return False
    return True
