"""The one error tree; each class knows the exit code that its process ends with.

    TougeError                  1   anything of ours that has no better class
    ├── RecipeError            10   a recipe, an override or a plan is wrong; lists every problem
    ├── SettingsError          10   environment, credentials or code version are wrong
    ├── DataError              11   input data is missing or invalid
    ├── CheckpointError        12   a model, adapter or tokenizer does not fit
    ├── GpuMemoryError         13   out of GPU memory; names the smaller setting
    ├── InfrastructureError    30   store, network or device failed; worth another try
    │   ├── ObjectNotFound     30   a key that should be there is not
    │   ├── AlreadyExists      30   a conditional create lost (handled by the commit protocol)
    │   └── Conflict           30   a conditional write lost, or its answer was lost
    └── Interrupted            31   asked to stop; resumable from the last complete checkpoint

A message says what was given, what was expected and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from touge.contract.exit_codes import ExitCode


class TougeError(Exception):
    """Base of every error that touge raises on purpose."""

    exit_code: ClassVar[ExitCode] = ExitCode.ERROR


class RecipeError(TougeError):
    """A recipe, an override or a plan is invalid.

    Args:
        problems: Every problem found, one sentence each.
        source: Where the document came from, for the first line of the message.
    """

    exit_code = ExitCode.INVALID

    def __init__(self, problems: Iterable[str] | str, *, source: str = "recipe") -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        noun = "problem" if len(self.problems) == 1 else "problems"
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"{source}: {len(self.problems)} {noun}\n{lines}")


class SettingsError(TougeError):
    """The environment, the credentials or the code version are wrong."""

    exit_code = ExitCode.INVALID


class DataError(TougeError):
    """Input data is missing or invalid."""

    exit_code = ExitCode.DATA


class CheckpointError(TougeError):
    """A checkpoint, adapter or tokenizer does not fit the model that is asked for."""

    exit_code = ExitCode.CHECKPOINT


class GpuMemoryError(TougeError):
    """The GPU has too little memory; the message names the next smaller setting."""

    exit_code = ExitCode.GPU_MEMORY


class InfrastructureError(TougeError):
    """The store, the network or a device failed in a way that another try may cure."""

    exit_code = ExitCode.INFRASTRUCTURE


class ObjectNotFound(InfrastructureError):
    """The store has no object under this key."""


class AlreadyExists(InfrastructureError):
    """A conditional create found the key taken."""


class Conflict(InfrastructureError):
    """A conditional write lost, or its outcome is unknown and must be read back."""


class Interrupted(TougeError):
    """The process was asked to stop and can resume from its last complete checkpoint."""

    exit_code = ExitCode.INTERRUPTED
