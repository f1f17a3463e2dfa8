"""What every verb has: its options, its output, and the desk that it works at. Imports nothing heavy."""

from __future__ import annotations

import json
import os
import sys
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from touge.contract.errors import TougeError
from touge.contract.exit_codes import ExitCode
from touge.contract.plan import StageName

if TYPE_CHECKING:
    from controller.attendance import Attendance
    from controller.follow import Desk
    from controller.operate.operator import Feed
    from controller.settings import Settings


#: Tells a stage to show the traceback of its error in its log.
_DEBUG = "TOUGE_DEBUG"
#: Between two looks of `operate` at all runs of this machine.
_POLL_S = 1.0


class UsageError(TougeError):
    """The command line asks for something that cannot be."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, slots=True)
class Tools:
    """How this command line was started, what runs each stage (None: the real ones), and what was asked for.

    Args:
        program: The command that starts another controller like this one.
        commands: What runs each stage on this machine.
        debug: Whether errors are traced, here and in the stages.
        given: Settings that the command line gives, by name; they win over the environment's.
    """

    program: Sequence[str] = (sys.executable, "-m", "controller")
    commands: Mapping[StageName, Sequence[str]] | None = field(default=None)
    debug: bool = False
    given: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """Settings of the command line and the environment."""
        from controller.settings import read_settings

        return read_settings(self.given)

    def desk(self) -> Desk:
        """Return the desk for runs on this machine."""
        from controller.follow import Desk
        from controller.records import FileRecords
        from controller.retries import Policy
        from controller.runners.local import COMMANDS, LocalRunner
        from controller.settings import LOCAL_STORE
        from touge.storage import open_store

        settings = self.settings
        records, store = FileRecords(settings.home), open_store(settings.store or LOCAL_STORE)
        environ = dict(os.environ) | ({_DEBUG: "1"} if self.debug else {})
        runner = LocalRunner(records.home, self.commands or COMMANDS, environ)
        pause_s = 0.3 if store.uri.startswith("file://") else 3.0
        return Desk(records, runner, store, Policy(parallel=runner.parallel), now_us, pause_s)

    @property
    def listens(self) -> str:
        """The address that `operate` listens on unless told; empty: every one."""
        return "127.0.0.1"

    def feed(self, desk: Desk) -> Feed:
        """Return what tells `operate` which runs may have changed."""
        from controller.operate.feed import poll

        return poll(desk.records, max(desk.pause_s, _POLL_S))

    def attendance(self, desk: Desk) -> Attendance:  # noqa: ARG002 - for runs elsewhere
        """Return who works on runs."""
        from controller.attendance import Locks

        return Locks(self.settings.home)


class Verb(BaseModel):
    """One verb: options in, exit code out."""

    model_config = ConfigDict(frozen=True)

    output: Literal["text", "json"] = Field(
        "text", validation_alias=AliasChoices("o", "output"), description="text for people, json for programs"
    )
    debug: bool = Field(False, description="show the traceback of an error")

    @abstractmethod
    def run(self, tools: Tools) -> int:
        """Do it, and return the exit code."""

    def say(self, text: str, data: Any) -> None:
        """Print the result to stdout: `text`, or `data` as JSON."""
        print(json.dumps(data, ensure_ascii=False) if self.output == "json" else text)


class RunVerb(Verb):
    """A verb that touches runs."""


def now_us() -> int:
    """Return unix time in microseconds."""
    import time

    return time.time_ns() // 1000


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned columns; the first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
