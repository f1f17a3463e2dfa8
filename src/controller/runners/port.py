"""The runner port: start, observe, logs, stop. It speaks of executions, not of processes or pods.

Adapters are held to one contract test suite. A runner decides nothing: reconcile does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from controller.state import Execution, Task
from touge.contract.plan import Plan, Stage


@dataclass(frozen=True, slots=True)
class StartRequest:
    """One execution to set to work."""

    plan: Plan
    task: Task
    attempt: int
    store: str


class Runner(Protocol):
    """Sets executions to work somewhere, and tells what became of them."""

    @property
    def parallel(self) -> int:
        """How many executions of one run it takes at once."""
        ...

    def place(self, stage: Stage, plan: Plan) -> str:
        """Return in a few words where a stage would run."""
        ...

    def start(self, request: StartRequest) -> None:
        """Set an execution to work; one of the same run, task and attempt is started at most once, by anyone."""
        ...

    def observe(self, run: str) -> list[Execution]:
        """Return every execution of the run that was ever started and is not deleted."""
        ...

    def logs(self, run: str, stage: str | None, follow: Callable[[], bool]) -> Iterator[str]:
        """Yield log lines of a run's executions in order of their start; on and on while `follow()`."""
        ...

    def stop(self, run: str, task: Task, attempt: int, *, kill: bool = False) -> None:
        """Ask an execution to end (SIGTERM, then SIGKILL after a grace period), or end it at once."""
        ...

    def delete(self, run: str) -> None:
        """Remove everything that the runner keeps of a run; what still runs is killed."""
        ...
