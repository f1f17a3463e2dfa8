"""`promote`: make a run's model the current one of a channel, if its gate was passed."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import CliPositionalArg

from controller.cli.verb import RunVerb, Tools


class Promote(RunVerb):
    """Promote the model of a run whose gate was passed; refuses any other."""

    name: CliPositionalArg[str] = Field(description="run id or its beginning")
    channel: str = Field("staging", pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", description="models/<channel>/")

    def run(self, tools: Tools) -> int:
        """Move the channel's pointer."""
        from controller.cli.runs import find_run
        from controller.promotion import promote

        desk = tools.desk()
        version = promote(find_run(desk.records, self.name).spec.plan, desk.store, self.channel, desk.clock())
        text = f"models/{version.channel} is now {version.version} ({desk.store.uri}/{version.artifact})"
        self.say(text, version.model_dump(mode="json", by_alias=True))
        return 0
