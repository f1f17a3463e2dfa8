"""What a run is, was and waits for: the values between runners, reconcile, records and the command line.

Frozen documents without behaviour. They speak of executions, not of pods or processes, so that one
reconcile serves every runner.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from touge.contract.artifacts import Shard, StageRef
from touge.contract.model import Document
from touge.contract.plan import Plan, Stage, StageName
from touge.contract.report import Verdict


class State(StrEnum):
    """How far a run, a stage or an execution is."""

    QUEUED = "Queued"
    UNSCHEDULABLE = "Unschedulable"
    PULLING = "Pulling"
    STARTING = "Starting"
    RUNNING = "Running"
    RETRYING = "Retrying"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"

    @property
    def terminal(self) -> bool:
        """Whether it never changes by itself any more."""
        return self in {State.SUCCEEDED, State.FAILED, State.CANCELLED}


class Reason(StrEnum):
    """Why a run or a stage is in its state; those of exit codes are the table's (`touge.contract.exit_codes`)."""

    NONE = ""
    COMPLETED = "Completed"
    REUSED = "Reused"
    NOT_NEEDED = "NotNeeded"
    CANCELLING = "Cancelling"
    CANCELLED = "Cancelled"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    NO_PROGRESS = "NoProgress"
    HOST_MEMORY = "HostMemory"
    NOT_COMMITTED = "NotCommitted"
    LOST = "Lost"
    DISRUPTED = "Disrupted"
    REFUSED = "Refused"
    ERROR = "Error"
    INVALID_RECIPE = "InvalidRecipe"
    INVALID_DATA = "InvalidData"
    INCOMPATIBLE_CHECKPOINT = "IncompatibleCheckpoint"
    GPU_MEMORY = "GpuMemory"
    INFRASTRUCTURE = "Infrastructure"
    INTERRUPTED = "Interrupted"
    CRASHED = "Crashed"
    KILLED = "Killed"
    TERMINATED = "Terminated"


class Task(Document):
    """What one execution works on: a stage, or one shard of a mapped stage."""

    stage: StageName
    shard: int = 0

    def ref(self, stage: Stage) -> StageRef:
        """Return what the task commits."""
        return StageRef(stage.id, Shard(self.shard, stage.shards) if stage.mapped else None)

    def __str__(self) -> str:
        return f"{self.stage}/{self.shard}" if self.stage.endswith("-map") else self.stage


class Execution(Document):
    """One process or pod at work on a task, as its runner sees it."""

    task: Task
    attempt: int
    uid: str
    state: State
    reason: str = Field("", description="the runner's own word, such as OOMKilled")
    message: str = ""
    exit_code: int | None = Field(None, description="None while it runs, and where nobody saw it end")
    log_tail: tuple[str, ...] = ()
    started_us: int | None = None
    ended_us: int | None = None
    nodes: tuple[str, ...] = Field((), description="where it is or was at work, in a cluster")
    checkpoint: int = Field(0, description="step of its newest complete checkpoint; 0 without one")
    since_us: int | None = Field(None, description="since when it waits for what its message says")
    placeholder: bool = Field(
        False, description="stands for an attempt of which no execution can be seen: none yet, or none any more"
    )

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.state.terminal


class RunSpec(Document):
    """What is wanted of a run; written by verbs only."""

    plan: Plan
    created_us: int
    cancel: bool = False
    retry: int = Field(0, description="how often a person asked for another try")
    first_attempt: int = Field(1, description="earlier attempts belong to earlier tries and do not count")


class Cause(Document):
    """The first thing that went wrong, kept when everything else is gone."""

    task: Task
    attempt: int
    reason: Reason
    exit_code: int | None
    message: str
    log_tail: tuple[str, ...]


class StageStatus(Document):
    """One stage of a run."""

    name: StageName
    id: str
    state: State
    reason: Reason = Reason.NONE
    message: str = ""
    done: int = Field(0, description="committed shards")
    shards: int = 1
    attempts: int = 0
    started_us: int | None = None
    ended_us: int | None = None


class RunStatus(Document):
    """What is known of a run; written by reconcile only."""

    state: State
    reason: Reason = Reason.NONE
    message: str = ""
    retry: int = Field(0, description="the try that this status is about")
    cause: Cause | None = None
    stages: tuple[StageStatus, ...] = ()
    executions: tuple[Execution, ...] = ()
    verdict: Verdict | None = None
    started_us: int | None = None
    ended_us: int | None = None


class Start(Document):
    """Set an execution to work."""

    task: Task
    attempt: int


class Stop(Document):
    """Ask an execution to end."""

    task: Task
    attempt: int


Action = Start | Stop
