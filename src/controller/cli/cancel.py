"""`cancel`: end a run cleanly."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import CliPositionalArg

from controller.cli.verb import RunVerb, Tools


class Cancel(RunVerb):
    """Stop a run's stages (they keep their last checkpoint) and wait until they have ended."""

    name: CliPositionalArg[str] = Field(description="run id or its beginning")

    def run(self, tools: Tools) -> int:
        """Ask for the end and see it through."""
        from controller.changes import request_cancel
        from controller.cli.following import attend, warn_if_unseen
        from controller.cli.outcome import outcome, state_line
        from controller.cli.runs import find_run

        place = tools.place()
        desk = place.desk
        record = request_cancel(desk.records, find_run(desk.records, self.name).run)
        if not record.over:
            warn_if_unseen(place, record)
            record = attend(desk, record.run, timeout_s=None, cancels=True)
        self.say(f"run {record.run}: {state_line(record.status) if record.status else 'Queued'}", outcome(record))
        return 0
