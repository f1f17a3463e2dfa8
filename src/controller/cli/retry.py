"""`retry`: another try of a run that failed or was cancelled; what is finished is reused."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import CliPositionalArg

from controller.cli.following import Following
from controller.cli.verb import Tools, UsageError


class Retry(Following):
    """Try a failed or cancelled run again and follow it."""

    name: CliPositionalArg[str] = Field(description="run id or its beginning")

    def run(self, tools: Tools) -> int:
        """Ask for another try and follow it."""
        from controller.changes import request_retry
        from controller.cli.runs import find_run
        from controller.state import State

        self.check()
        place = tools.place()
        record = find_run(place.desk.records, self.name)
        if not record.over:
            raise UsageError(f"run {record.run} is not over; `watch {record.run}` follows it, `cancel` ends it")
        if record.status and record.status.state is State.SUCCEEDED:
            raise UsageError(f"run {record.run} succeeded; `submit --new-run` makes another of the same recipe")
        record = request_retry(place.desk.records, record.run)
        return self.attend(tools, place, record)
