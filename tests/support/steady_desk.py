"""A desk whose runner only remembers: executions begin when they are started, and end when a test says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from run_builders import make_recipe, plan_of, spec_of

from controller.follow import Desk
from controller.records import FileRecords, RunRecord
from controller.retries import Policy
from controller.runners.port import StartRequest
from controller.state import Execution, State, Task
from touge.storage import open_store


class SteadyRunner:
    """Executions that run on and on."""

    parallel = 100

    def __init__(self) -> None:
        self.executions: dict[str, list[Execution]] = {}
        self.trouble: dict[str, Exception] = {}
        self.looks: list[str] = []
        self.slow: Callable[[], object] = lambda: None

    def place(self, stage: object, plan: object) -> str:
        return "nowhere"

    def start(self, request: StartRequest) -> None:
        mine = self.executions.setdefault(request.plan.run, [])
        if all((e.task, e.attempt) != (request.task, request.attempt) for e in mine):
            mine.append(Execution(task=request.task, attempt=request.attempt, uid="u", state=State.RUNNING))

    def observe(self, run: str) -> list[Execution]:
        self.looks.append(run)
        self.slow()
        if run in self.trouble:
            raise self.trouble[run]
        return list(self.executions.get(run, ()))

    def logs(self, run: str, stage: str | None, follow: Callable[[], bool]) -> Iterator[str]:
        return iter(())

    def stop(self, run: str, task: Task, attempt: int, *, kill: bool = False) -> None:
        self.end(run, 143)

    def delete(self, run: str) -> None:
        self.executions.pop(run, None)

    def end(self, run: str, code: int) -> None:
        """End every execution of a run."""
        over = {"state": State.FAILED, "exit_code": code, "ended_us": 2}
        self.executions[run] = [e.model_copy(update=over) for e in self.executions[run]]


def steady_desk(folder: Path) -> Desk:
    """Return a desk with records and store in a folder."""
    return Desk(FileRecords(folder), SteadyRunner(), open_store(f"file://{folder}/store"), Policy(), lambda: 1, 0.01)


def new_run(desk: Desk, name: str) -> str:
    """Make a run and return its id."""
    record: RunRecord = desk.records.create(spec_of(plan_of(make_recipe(name=name))))
    return record.run
