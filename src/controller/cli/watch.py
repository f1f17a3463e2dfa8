"""`watch`: follow a run to its end, and see it through if nobody else does."""

from __future__ import annotations

import sys

from pydantic import Field
from pydantic_settings import CliPositionalArg

from controller.cli.following import Staying
from controller.cli.verb import Tools
from touge.contract.exit_codes import ExitCode


class Watch(Staying):
    """Follow a run to its end. Ctrl-C leaves it; stages that run go on, the next one waits for a controller."""

    name: CliPositionalArg[str | None] = Field(None, description="run id, its beginning, or nothing for the newest")

    def run(self, tools: Tools) -> int:
        """Follow the run; the exit code is that of `submit`."""
        from controller.cli.runs import find_run

        place = tools.place()
        record = find_run(place.desk.records, self.name)
        try:
            return self.stay(place, record, cancels=False)
        except KeyboardInterrupt:
            print(f"left {record.run}; `watch {record.run}` comes back to it", file=sys.stderr)
            return ExitCode.WAIT_TIMEOUT
