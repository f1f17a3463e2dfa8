"""`status`: one run as it is now; looks, and touches nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field
from pydantic_settings import CliPositionalArg

from controller.cli.placed import placed
from controller.cli.verb import RunVerb, Tools, table

if TYPE_CHECKING:
    from controller.state import RunStatus


class Status(RunVerb):
    """Show the stages of a run, their progress, and the first cause if it failed."""

    name: CliPositionalArg[str | None] = Field(None, description="run id, its beginning, or nothing for the newest")

    def run(self, tools: Tools) -> int:
        """Print the status."""
        from controller.cli.progress import read_progress_of
        from controller.cli.runs import find_run
        from controller.follow import look

        place = tools.place()
        desk = place.desk
        record = find_run(desk.records, self.name)
        status = look(desk, record)
        progress = read_progress_of(record.spec.plan, status, desk.store)
        text = status_text(record.run, status, {name: shown.text for name, shown in progress.items()})
        alone = not status.state.terminal and not place.attendance.attended(record.run)
        hint = f"\n\nnobody works on it; `watch {record.run}` or submitting again goes on" if alone else ""
        self.say(text + hint, {"run": record.run, "attended": not alone, **status.model_dump(mode="json")})
        return 0


def status_text(run: str, status: RunStatus, progress: dict[str, str]) -> str:
    """Return a run's status as people read it; `progress` is what each stage tells of its own."""
    from controller.cli.outcome import cause_lines, state_line

    rows = [["stage", "state", "reason", "done", "attempts", "progress"]]
    rows += [
        [s.name, str(s.state), s.reason, f"{s.done}/{s.shards}", str(s.attempts), progress.get(s.name) or s.message]
        for s in status.stages
    ]
    nodes = [placed(status, s.name) for s in status.stages]
    if any(nodes):
        rows = [[*row[:-1], node, row[-1]] for row, node in zip(rows, ["node", *nodes], strict=True)]
    cause = ["", *cause_lines(status.cause)] if status.cause else []
    told = [status.message] if status.message and not status.cause else []
    stages = ["", table(rows)] if status.stages else []
    return "\n".join([f"run {run}: {state_line(status)}", *told, *stages, *cause])
