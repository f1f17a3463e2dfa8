"""`logs`: what the stages of a run say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import AliasChoices, Field
from pydantic_settings import CliPositionalArg

from controller.cli.verb import RunVerb, Tools
from touge.contract.plan import StageName

if TYPE_CHECKING:
    from controller.records import Records


class Logs(RunVerb):
    """Print the logs of a run, all stages or one, in the order in which they started."""

    name: CliPositionalArg[str | None] = Field(None, description="run id, its beginning, or nothing for the newest")
    stage: StageName | None = Field(None, description="only this stage")
    follow: bool = Field(False, validation_alias=AliasChoices("f", "follow"), description="go on until the run is over")

    def run(self, tools: Tools) -> int:
        """Print the lines as they come; with -o json each as a JSON string."""
        from controller.cli.runs import find_run

        desk = tools.desk()
        run = find_run(desk.records, self.name).run
        for line in desk.runner.logs(run, self.stage, lambda: self.follow and not _over(desk.records, run)):
            self.say(line, line)
        return 0


def _over(records: Records, run: str) -> bool:
    return records.read(run).over
