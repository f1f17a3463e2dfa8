"""`list`: all runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.cli.verb import RunVerb, Tools, now_us, table

if TYPE_CHECKING:
    from controller.records import RunSummary


class List(RunVerb):
    """List all runs, oldest first, as they were recorded last."""

    def run(self, tools: Tools) -> int:
        """Print one line a run."""
        rows = [_row(known) for known in tools.desk().records.summaries()]
        heading = ["run", "state", "reason", "gate", "age"]
        empty = "no runs yet; `submit RECIPE` makes one"
        self.say(table([heading, *rows]) if rows else empty, [dict(zip(heading, row, strict=True)) for row in rows])
        return 0


def _row(known: RunSummary) -> list[str]:
    gate = "no verdict" if known.gate == "none" else known.gate
    return [known.run, str(known.state), known.reason, gate, age(now_us() - known.created_us)]


def age(microseconds: int) -> str:
    """Return a duration in its largest sensible unit."""
    seconds = microseconds // 1_000_000
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
