"""`delete`: forget runs. Artifacts stay in the store: other runs may reuse them."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import CliPositionalArg

from controller.cli.verb import RunVerb, Tools, UsageError


class Delete(RunVerb):
    """Remove the record and the logs of a run, or of all; artifacts stay in the store."""

    name: CliPositionalArg[str | None] = Field(None, description="run id or its beginning")
    all: bool = Field(False, description="every run that is over")

    def run(self, tools: Tools) -> int:
        """Remove what is over; a run that is not must be cancelled first."""
        from controller.cli.runs import find_run

        if (self.name is None) != self.all:
            raise UsageError("give either a run or --all")
        desk = tools.desk()
        chosen = [find_run(desk.records, self.name)] if self.name else desk.records.list()
        alive = [record.run for record in chosen if not record.over]
        if alive:
            raise UsageError(f"not over yet: {', '.join(alive)}. `cancel` ends a run; then delete it")
        for record in chosen:
            desk.runner.delete(record.run)
            desk.records.delete(record.run)
        runs = [record.run for record in chosen]
        self.say("\n".join(f"deleted {run}" for run in runs) or "no runs to delete", {"deleted": runs})
        return 0
