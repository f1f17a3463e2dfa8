"""Working on a run in the foreground: display, timeout, Ctrl-C, and the exit code at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING

from pydantic import Field

from controller.cli.verb import RunVerb, Tools, UsageError
from touge.contract.exit_codes import ExitCode

if TYPE_CHECKING:
    from controller.follow import Desk
    from controller.place import Place
    from controller.records import RunRecord


class Staying(RunVerb):
    """A verb that stays with a run until it is over."""

    timeout: float | None = Field(None, gt=0, description="seconds to stay at most; the run goes on (exit code 41)")

    def stay(self, place: Place, record: RunRecord, *, cancels: bool) -> int:
        """Follow the run to its end, and tell how it ended."""
        from controller.cli.outcome import outcome, summary

        warn_if_unseen(place, record)
        with nullcontext() if place.desk.blind else place.attendance.attending(record.run):
            record = attend(place.desk, record.run, timeout_s=self.timeout, cancels=cancels)
        self.say(summary(record, place.desk), outcome(record))
        return exit_code(record)


class Following(Staying):
    """A verb that sets a run going, and stays with it or leaves it to another controller."""

    detach: bool = Field(False, description="return at once, and leave the run to another controller")
    wait: bool = Field(False, description="stay until the run is over, also where `operate` sees it through")

    def check(self) -> None:
        """Refuse options that contradict one another, before anything is done."""
        if self.detach and (self.wait or self.timeout):
            raise UsageError("--detach returns at once, --wait and --timeout stay; give one of them")

    def attend(self, tools: Tools, place: Place, record: RunRecord) -> int:
        """Stay with the run, unless told to leave it or somebody else sees it through."""
        operator = place.attendance.operator()
        stays = self.wait or self.timeout is not None or not (self.detach or operator)
        if record.over or stays:
            return self.stay(place, record, cancels=True)
        keeper = operator or _another(tools, place, record.run)
        self.say(
            f"{record.run}: {keeper} sees it through; `watch {record.run}` follows it",
            {"run": record.run, "left_to": keeper},
        )
        return ExitCode.OK


def warn_if_unseen(place: Place, record: RunRecord) -> None:
    """Say so where this command line cannot see the store and nobody else works on the run."""
    if place.desk.blind and not record.over and not place.attendance.operator():
        print(
            f"{record.run} waits: no controller is ready in {place.name}, and the store cannot be reached from here. "
            "Install the chart with controller.enabled=true, or set TOUGE_STORE",
            file=sys.stderr,
        )


def exit_code(record: RunRecord) -> ExitCode:
    """Return what the state of a run means to whoever waits for it."""
    from controller.state import State

    status = record.status
    if status is None or not record.over:
        unschedulable = status is not None and status.state is State.UNSCHEDULABLE
        return ExitCode.UNSCHEDULABLE if unschedulable else ExitCode.WAIT_TIMEOUT
    if status.state is not State.SUCCEEDED:
        return ExitCode.RUN_FAILED
    return status.verdict.exit_code if status.verdict else ExitCode.GATE_FAILED


def attend(desk: Desk, run: str, *, timeout_s: float | None, cancels: bool) -> RunRecord:
    """Work on a run and show it until it is over.

    Args:
        desk: What to work with.
        run: The run's id.
        timeout_s: Leave it after so long.
        cancels: Whether Ctrl-C cancels the run (and twice kills it), or only leaves it.
    """
    from controller.changes import request_cancel
    from controller.cli.display import open_display
    from controller.follow import follow

    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    with _interrupts(active=cancels) as interrupts, open_display(desk) as display:

        def watch(record: RunRecord) -> None:
            display.show(record)
            if interrupts.count and not record.spec.cancel:
                request_cancel(desk.records, run)
                display.note("cancelling: waiting for the stages to stop; Ctrl-C again kills them")
            if interrupts.count > 1:
                kill(desk, record)

        return follow(desk, run, watch, lambda: deadline is not None and time.monotonic() >= deadline)


def kill(desk: Desk, record: RunRecord) -> None:
    """End every execution of a run at once."""
    for execution in desk.runner.observe(record.run):
        if not execution.ended:
            desk.runner.stop(record.run, execution.task, execution.attempt, kill=True)


def _another(tools: Tools, place: Place, run: str) -> str:
    """Leave the run to another controller, on this machine a new one, and return which."""
    if place.cluster:
        return f"the next controller that is ready in {place.name}"
    home = tools.settings.home.absolute()
    debug = ["--debug"] if tools.debug else []
    environ = dict(os.environ) | {
        "TOUGE_RUNNER": "local", "TOUGE_HOME": str(home), "TOUGE_STORE": place.desk.store.uri,
    }  # fmt: skip
    with (home / "runs" / run / "controller.log").open("ab") as log:
        subprocess.Popen(  # noqa: S603 - this very program
            [*tools.program, "watch", run, *debug],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=environ,
        )
    return "a controller in a session of its own"


@dataclass(slots=True)
class _Interrupts:
    count: int = 0
    previous: list[object] = field(default_factory=list)


@contextmanager
def _interrupts(*, active: bool) -> Iterator[_Interrupts]:
    """Count Ctrl-C instead of raising KeyboardInterrupt."""
    counted = _Interrupts()
    if not active:
        yield counted
        return

    def count(_number: int, _frame: FrameType | None) -> None:
        counted.count += 1
        sys.stderr.write("\n")

    before = signal.signal(signal.SIGINT, count)
    try:
        yield counted
    finally:
        signal.signal(signal.SIGINT, before)
