"""Exit codes: the public table that Jobs' podFailurePolicy and the controller's retries are generated from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class ExitCode(IntEnum):
    """How a touge process ends (design: exit codes and failures)."""

    OK = 0
    ERROR = 1
    USAGE = 2
    INVALID = 10
    DATA = 11
    CHECKPOINT = 12
    GPU_MEMORY = 13
    GATE_FAILED = 20
    INFRASTRUCTURE = 30
    INTERRUPTED = 31
    RUN_FAILED = 40
    WAIT_TIMEOUT = 41
    UNSCHEDULABLE = 42
    ABORTED = 134
    KILLED = 137
    SEGFAULT = 139
    TERMINATED = 143


class Consequence(StrEnum):
    """What the controller does about a stage that ended with a code."""

    DONE = "done"
    FAIL = "fail"
    RETRY = "retry"
    RETRY_ONCE = "retry-once"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class Rule:
    """What one exit code of a stage means."""

    code: int
    reason: str
    consequence: Consequence
    meaning: str


RULES = (
    Rule(0, "Completed", Consequence.DONE, "ok, superseded, or already committed"),
    Rule(10, "InvalidRecipe", Consequence.FAIL, "recipe, settings or code version invalid: fix the recipe"),
    Rule(11, "InvalidData", Consequence.FAIL, "input data missing or invalid"),
    Rule(12, "IncompatibleCheckpoint", Consequence.FAIL, "checkpoint or model incompatible"),
    Rule(13, "GpuMemory", Consequence.FAIL, "out of GPU memory: the message names the smaller setting"),
    Rule(30, "Infrastructure", Consequence.RETRY, "store, network, NCCL or CUDA failed"),
    Rule(31, "Interrupted", Consequence.RESUME, "interrupted, resumable from the last complete checkpoint"),
    Rule(134, "Crashed", Consequence.RETRY_ONCE, "aborted natively"),
    Rule(137, "Killed", Consequence.RETRY, "killed; out of host memory where the platform says so"),
    Rule(139, "Crashed", Consequence.RETRY_ONCE, "segmentation fault"),
    Rule(143, "Terminated", Consequence.RESUME, "terminated before a checkpoint could be written"),
)

#: How Python itself ends: an uncaught error or wrong usage, and 120 where the output could not be flushed
#: (https://docs.python.org/3/library/sys.html#sys.exit).
UNCAUGHT = (*range(1, 10), 120)

_BY_CODE = {rule.code: rule for rule in RULES}


def rule_for(code: int) -> Rule:
    """Return the rule of an exit code; an unknown code is an uncaught error, which fails the run."""
    return _BY_CODE.get(code, Rule(code, "Error", Consequence.FAIL, "uncaught error or usage: see the log"))
