"""Working on a run in the foreground: display, timeout, Ctrl-C, and the exit code at the end."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING

from pydantic import Field

from controller.cli.verb import Tools, UsageError, Verb
from touge.contract.exit_codes import ExitCode

if TYPE_CHECKING:
    from controller.follow import Desk
    from controller.records import RunRecord


class Staying(Verb):
    """A verb that stays with a run until it is over."""

    timeout: float | None = Field(None, gt=0, description="seconds to stay at most; the run goes on (exit code 41)")

    def stay(self, tools: Tools, desk: Desk, record: RunRecord, *, cancels: bool) -> int:
        """Follow the run to its end, and tell how it ended."""
        from controller.cli.outcome import outcome, summary

        with tools.attendance(desk).attending(record.run):
            record = attend(desk, record.run, timeout_s=self.timeout, cancels=cancels)
        self.say(summary(record, desk.store), outcome(record))
        return exit_code(record)


class Following(Staying):
    """A verb that sets a run going, and stays with it or leaves it to another controller."""

    detach: bool = Field(False, description="return at once; the run goes on in a session of its own")
    wait: bool = Field(False, description="stay until the run is over (what happens on this machine anyway)")

    def check(self) -> None:
        """Refuse options that contradict one another, before anything is done."""
        if self.detach and self.wait:
            raise UsageError("--detach and --wait contradict one another; give one of them")

    def attend(self, tools: Tools, desk: Desk, record: RunRecord) -> int:
        """Follow the run, or leave it to a controller in a session of its own."""
        if not self.detach or record.over:
            return self.stay(tools, desk, record, cancels=True)
        leave(tools, desk, record.run)
        self.say(f"{record.run} runs detached; `watch {record.run}` follows it", {"run": record.run})
        return ExitCode.OK


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


def leave(tools: Tools, desk: Desk, run: str) -> None:
    """Start a controller that follows the run in a session of its own."""
    folder = tools.settings.home / "runs" / run
    debug = ["--debug"] if tools.debug else []
    with (folder / "controller.log").open("ab") as log:
        subprocess.Popen(  # noqa: S603 - this very program
            [*tools.program, "watch", run, *debug],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=_environment(tools, desk),
        )


def _environment(tools: Tools, desk: Desk) -> dict[str, str]:
    import os

    return dict(os.environ) | {"TOUGE_HOME": str(tools.settings.home.absolute()), "TOUGE_STORE": desk.store.uri}


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
