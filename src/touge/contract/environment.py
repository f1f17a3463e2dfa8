"""What a stage's process is told by whoever starts it: the same names in a pod and on a laptop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from touge.contract.artifacts import Shard, StageRef, execution_id
from touge.contract.errors import SettingsError
from touge.contract.plan import Plan, Stage

PLAN = "TOUGE_PLAN"
STORE = "TOUGE_STORE"
STAGE = "TOUGE_STAGE"
ATTEMPT = "TOUGE_ATTEMPT"
UID = "TOUGE_UID"
SCRATCH = "TOUGE_SCRATCH"
#: Where the last error message goes, for the controller to show (Kubernetes' terminationMessagePath).
TERMINATION_LOG = "TOUGE_TERMINATION_LOG"
#: Set by Kubernetes in every pod of an Indexed Job, and by the local runner.
INDEX = "JOB_COMPLETION_INDEX"
#: How many processes train together on this node; else the recipe's `resources.gpus`.
PROCESSES = "TOUGE_PROCESSES"

_REQUIRED = (PLAN, STORE, STAGE, ATTEMPT, UID, SCRATCH)


@dataclass(frozen=True, slots=True)
class StageEnvironment:
    """Settings of one execution."""

    plan: str
    store: str
    stage: str
    attempt: int
    uid: str
    scratch: str
    termination_log: str | None = None
    index: int = 0

    @classmethod
    def parse(cls, environ: Mapping[str, str]) -> StageEnvironment:
        """Read the environment.

        Raises:
            SettingsError: Naming every variable that is missing or malformed.
        """
        problems = [f"{name} is not set" for name in _REQUIRED if not environ.get(name)]
        problems += [
            f"{name}={value!r} is no whole number"
            for name in (ATTEMPT, INDEX)
            if (value := environ.get(name, "0")) and not value.isdigit()
        ]
        if problems:
            message = f"stage environment: {'; '.join(problems)}. A stage is started by `python -m controller submit`"
            raise SettingsError(message)
        return cls(
            plan=environ[PLAN],
            store=environ[STORE],
            stage=environ[STAGE],
            attempt=int(environ[ATTEMPT]),
            uid=environ[UID],
            scratch=environ[SCRATCH],
            termination_log=environ.get(TERMINATION_LOG),
            index=int(environ.get(INDEX) or 0),
        )

    def to_environ(self) -> dict[str, str]:
        """Return the variables that `parse` reads back equal."""
        variables = {
            PLAN: self.plan,
            STORE: self.store,
            STAGE: self.stage,
            ATTEMPT: str(self.attempt),
            UID: self.uid,
            SCRATCH: self.scratch,
            INDEX: str(self.index),
        }
        return variables | ({TERMINATION_LOG: self.termination_log} if self.termination_log else {})

    def ref(self, stage: Stage) -> StageRef:
        """Return what this execution would commit."""
        return StageRef(stage.id, Shard(self.index, stage.shards) if stage.mapped else None)

    def execution(self, plan: Plan) -> str:
        """Return the execution's name."""
        return execution_id(plan.run, self.attempt, self.uid)
