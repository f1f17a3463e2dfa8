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
    from controller.follow import Desk
    from controller.place import Place
    from controller.settings import Settings


#: As `controller.settings` has it, which takes long to import.
RunnerName = Literal["local", "kubernetes"]

#: Tells a stage to show the traceback of its error in its log.
_DEBUG = "TOUGE_DEBUG"


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

    def place(self) -> Place:
        """Return where runs are, as the settings say."""
        from controller.place import in_cluster, on_this_machine

        if self.settings.runner == "kubernetes":
            return in_cluster(self.settings, now_us)
        environ = dict(os.environ) | ({_DEBUG: "1"} if self.debug else {})
        return on_this_machine(self.settings, self.commands, environ, now_us)

    def desk(self) -> Desk:
        """Return the desk that is there."""
        return self.place().desk


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

    def given(self) -> dict[str, str]:
        """Return the settings that the command line gives, by name."""
        return {}

    def say(self, text: str, data: Any) -> None:
        """Print the result to stdout: `text`, or `data` as JSON."""
        print(json.dumps(data, ensure_ascii=False) if self.output == "json" else text)


class RunVerb(Verb):
    """A verb that touches runs, here or in a cluster."""

    runner: RunnerName | None = Field(None, description="where runs are: local or kubernetes (TOUGE_RUNNER)")
    namespace: str | None = Field(None, description="on Kubernetes, where runs are (TOUGE_NAMESPACE)")
    context: str | None = Field(None, description="of the kubeconfig (TOUGE_CONTEXT)")

    def given(self) -> dict[str, str]:
        """Return the settings that the command line gives."""
        settings = {"runner": self.runner, "namespace": self.namespace, "context": self.context}
        return {name: value for name, value in settings.items() if value is not None}


def now_us() -> int:
    """Return unix time in microseconds."""
    import time

    return time.time_ns() // 1000


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned columns; the first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
