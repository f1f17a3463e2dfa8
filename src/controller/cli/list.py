"""`list`: all runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.cli.verb import Tools, Verb, now_us, table

if TYPE_CHECKING:
    from controller.follow import Desk
    from controller.records import RunRecord
    from controller.state import RunStatus


class List(Verb):
    """List all runs, oldest first."""

    def run(self, tools: Tools) -> int:
        """Print one line a run."""
        desk = tools.desk()
        rows = [_row(record, _status(desk, record)) for record in desk.records.list()]
        heading = ["run", "state", "reason", "gate", "age"]
        empty = "no runs yet; `submit RECIPE` makes one"
        self.say(table([heading, *rows]) if rows else empty, [dict(zip(heading, row, strict=True)) for row in rows])
        return 0


def _status(desk: Desk, record: RunRecord) -> RunStatus | None:
    """Return the recorded status of a run that is over, and what is seen of one that is not."""
    if record.over:
        return record.status
    from controller.follow import look

    return look(desk, record)


def _row(record: RunRecord, status: RunStatus | None) -> list[str]:
    verdict = status.verdict if status else None
    gate = {True: "passed", False: "failed", None: "no verdict"}[verdict.passed] if verdict else ""
    state, reason = (str(status.state), status.reason) if status else ("Queued", "")
    return [record.run, state, reason, gate, age(now_us() - record.spec.created_us)]


def age(microseconds: int) -> str:
    """Return a duration in its largest sensible unit."""
    seconds = microseconds // 1_000_000
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
