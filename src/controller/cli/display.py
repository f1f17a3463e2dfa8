"""Showing a run while it goes on: bars with the time left on a terminal, plain lines elsewhere. To stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from controller.cli.placed import placed
from controller.cli.progress import StageProgress, duration, read_progress_of
from controller.state import StageStatus, State

if TYPE_CHECKING:
    from controller.follow import Desk
    from controller.records import RunRecord

#: Plain lines come at each tenth of a stage.
_STEP = 0.1


class Display(Protocol):
    """Shows a run."""

    def show(self, record: RunRecord) -> None:
        """Show how the run is now."""
        ...

    def note(self, text: str) -> None:
        """Say something beside it."""
        ...


@contextmanager
def open_display(desk: Desk) -> Iterator[Display]:
    """Return the display for this standard error."""
    if not sys.stderr.isatty():
        yield Lines(desk)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:12}"),
        TextColumn("{task.fields[state]:13}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[words]}"),
    )
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=4) as bars:
        yield Bars(desk, bars)


@dataclass(slots=True)
class Lines:
    """One line for each change of a stage and for each tenth of it."""

    desk: Desk
    _said: dict[str, str] = field(default_factory=dict)

    def show(self, record: RunRecord) -> None:
        """Print what is new."""
        if record.status is None:
            return
        progress = read_progress_of(record.spec.plan, record.status, self.desk.store)
        for stage in record.status.stages:
            known = progress.get(stage.name)
            key = f"{stage.state} {stage.reason} {stage.attempts} {int((known.share if known else 0) / _STEP)}"
            if self._said.get(stage.name, str(State.QUEUED)) != key and known:
                self.note(_line(stage, known, placed(record.status, stage.name)))
            self._said[stage.name] = key

    def note(self, text: str) -> None:
        """Print a line with the time before it."""
        print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@dataclass(slots=True)
class Bars:
    """A bar for each stage."""

    desk: Desk
    bars: Any
    _ids: dict[str, Any] = field(default_factory=dict)

    def show(self, record: RunRecord) -> None:
        """Move the bars."""
        if record.status is None:
            return
        progress = read_progress_of(record.spec.plan, record.status, self.desk.store)
        for stage in record.status.stages:
            known = progress.get(stage.name)
            fields = {"state": str(stage.state), "words": _words(stage, known, placed(record.status, stage.name))}
            if stage.name not in self._ids:
                self._ids[stage.name] = self.bars.add_task(stage.name, total=1.0, start=False, **fields)
            self._time(stage)
            self.bars.update(self._ids[stage.name], completed=known.share if known else 0.0, **fields)

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self.bars.console.print(text)

    def _time(self, stage: StageStatus) -> None:
        """Let the stage's clock run while it is at work."""
        if stage.state.terminal:
            self.bars.stop_task(self._ids[stage.name])
        elif stage.state is not State.QUEUED:
            self.bars.start_task(self._ids[stage.name])


def _line(stage: StageStatus, known: StageProgress, where: str) -> str:
    share = f"{100 * known.share:.0f} %" if not stage.state.terminal else ""
    took = ""
    if stage.state.terminal and stage.started_us and stage.ended_us:
        took = f"in {duration((stage.ended_us - stage.started_us) / 1e6)}"
    words = (f"{stage.name:12}", f"{stage.state:9}", share, took, _words(stage, known, where))
    return " ".join(word for word in words if word).rstrip()


def _words(stage: StageStatus, known: StageProgress | None, where: str) -> str:
    said = known.text if known else ""
    retry = f"attempt {stage.attempts}" if stage.attempts > 1 else ""
    reason = stage.reason if stage.reason != "Completed" else ""
    place = f"on {where}" if where and not stage.state.terminal else ""
    return ", ".join(word for word in (said, place, reason, retry, stage.message) if word)
