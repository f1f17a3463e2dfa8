"""The shell of every stage's process: environment in, exit code out.

Reads what the controller set, refuses other code than the plan's, leaves at once where the stage is
committed, runs the stage's work, commits. The work itself lives in curation, training and evaluation.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from pydantic import ValidationError
from structlog.typing import FilteringBoundLogger

from touge.contract.artifacts import Shard, StageRef, cancelled_key
from touge.contract.environment import TERMINATION_LOG, StageEnvironment
from touge.contract.errors import (
    DataError,
    InfrastructureError,
    Interrupted,
    ObjectNotFound,
    SettingsError,
    TougeError,
)
from touge.contract.exit_codes import ExitCode
from touge.contract.model import problems
from touge.contract.plan import Plan, Stage
from touge.storage import Store, open_store
from touge.storage.execution import Artifact, Execution, committed
from touge.storage.local import explained
from touge.storage.sources import code_digests

#: Set to 1 to see tracebacks.
DEBUG = "TOUGE_DEBUG"
#: torch's allocator on a GPU lets pieces grow, where a small card would have no room for another one.
_ALLOCATOR = "PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True"
#: Longest message that Kubernetes keeps
#: (https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/).
_MESSAGE_BYTES = 4096

Work = Callable[["StageContext"], dict[str, Any]]


@dataclass(frozen=True)
class StageContext:
    """What a stage's work is given."""

    plan: Plan
    stage: Stage
    store: Store
    execution: Execution
    scratch: Path
    index: int
    clock: Callable[[], int]
    log: FilteringBoundLogger
    _stop: list[int] = field(default_factory=list)

    def stopping(self) -> bool:
        """Whether the process was asked to stop."""
        return bool(self._stop)

    def artifact(self, role: str, shard: Shard | None = None) -> Artifact:
        """Return the committed artifact of an input stage.

        Raises:
            DataError: If the input is not committed.
        """
        if role not in self.stage.inputs:
            known = ", ".join(self.stage.inputs) or "none"
            raise DataError(f"{self.stage.name} has no input {role!r}; the plan gives it {known}")
        stage_id = self.stage.inputs[role]
        found = committed(self.store, StageRef(stage_id, shard))
        if found is None:
            which = f"{stage_id}, shard {shard}," if shard else stage_id
            raise DataError(
                f"input {role!r} of {self.stage.name}: {which} is not committed in {self.store.uri}. Submit it again"
            )
        return found

    def shards(self, role: str) -> list[Artifact]:
        """Return the committed artifacts of all shards of a mapped input stage, in order."""
        stage = next(stage for stage in self.plan.stages if stage.id == self.stage.inputs[role])
        return [self.artifact(role, Shard(index, stage.shards)) for index in range(stage.shards)]


def main(works: Mapping[str, Work], argv: Sequence[str] | None = None, *, leads: bool = True) -> int:
    """Run the stage that the environment names and return the process's exit code.

    Args:
        works: What to do, by stage name: writes files through the context's execution, returns the manifest's metadata.
        argv: Command line; it takes nothing but --help.
        leads: Whether this process commits; of the ranks of one training only the first does.
    """
    _parser(works).parse_args(argv)
    os.environ.setdefault(*_ALLOCATOR)
    stop = _listen()
    log = _logger()
    try:
        _run(works, log, stop, leads=leads)
    except Exception as error:  # noqa: BLE001 - the one place where every error becomes an exit code
        return _report(error, log)
    return ExitCode.OK


def now_us() -> int:
    """Return unix time in microseconds."""
    return time.time_ns() // 1000


def _parser(works: Mapping[str, Work]) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        description=f"Does the stage {' or '.join(works)} as the environment (TOUGE_PLAN and others) says; "
        "started by `python -m controller submit RECIPE`.",
    )


def _listen() -> list[int]:
    """Return a list that fills when the process is asked to stop."""
    stop: list[int] = []
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda number, _frame: stop.append(number))
    return stop


def _logger() -> FilteringBoundLogger:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger


def _run(works: Mapping[str, Work], log: FilteringBoundLogger, stop: list[int], *, leads: bool) -> None:
    environment = StageEnvironment.parse(os.environ)
    plan = _read_plan(Path(environment.plan))
    stage = plan.stage(environment.stage)
    work = _work_of(works, stage.name)
    _check_code(stage)
    context = _context(environment, plan, stage, log, stop)
    if committed(context.store, environment.ref(stage)):
        log.info("already committed", stage=stage.id)
        return
    if context.stopping():
        raise Interrupted(f"{stage.name}: asked to stop before the work began; submit again to go on")
    metadata = work(context)
    if leads:
        outcome = context.execution.commit(metadata, cancelled=lambda: _is_cancelled(context.store, plan.run))
        log.info("committed", stage=stage.id, outcome=str(outcome))


def _context(
    environment: StageEnvironment, plan: Plan, stage: Stage, log: FilteringBoundLogger, stop: list[int]
) -> StageContext:
    store = open_store(environment.store)
    scratch = Path(environment.scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    return StageContext(
        plan=plan,
        stage=stage,
        store=store,
        execution=Execution(store, environment.ref(stage), environment.execution(plan), now_us),
        scratch=scratch,
        index=environment.index,
        clock=now_us,
        log=log.bind(stage=stage.name, run=plan.run),
        _stop=stop,
    )


def _read_plan(path: Path) -> Plan:
    try:
        return Plan.read_json(path.read_bytes())
    except OSError as error:
        raise SettingsError(
            f"plan {path}: {error.strerror}. A stage is started by `python -m controller submit`"
        ) from error
    except ValidationError as error:
        raise SettingsError(f"plan {path}: {'; '.join(problems(error, Plan))}") from error


def _work_of(works: Mapping[str, Work], name: str) -> Work:
    if name not in works:
        raise SettingsError(f"stage {name!r} is not done by this program; it does {', '.join(works)}")
    return works[name]


def _check_code(stage: Stage) -> None:
    here = code_digests()[stage.name]
    if here != stage.code:
        raise SettingsError(
            f"{stage.name}: the plan was made for code {stage.code[:12]}…, this is {here[:12]}…. "
            "Submit again with this version, or run the image that the plan was made for"
        )


def _is_cancelled(store: Store, run: str) -> bool:
    """Whether the controller marked the run as cancelled; a job may lack the right to see run records."""
    try:
        store.stat(cancelled_key(run))
    except (ObjectNotFound, SettingsError):
        return False
    return True


def _report(error: Exception, log: FilteringBoundLogger) -> int:
    """Tell how the process failed: one message, in the log and where the controller looks for it."""
    known = _known(error)
    message = str(known) if known else f"{type(error).__name__}: {error} ({_place(error)}); {DEBUG}=1 shows more"
    code = known.exit_code if known else ExitCode.ERROR
    if os.environ.get(DEBUG) == "1":
        traceback.print_exception(error)
    log.error("failed", exit_code=int(code), message=message)
    if target := os.environ.get(TERMINATION_LOG):
        with contextlib.suppress(OSError):
            Path(target).write_bytes(message.encode()[:_MESSAGE_BYTES].decode(errors="ignore").encode())
    return code


def _known(error: Exception) -> TougeError | None:
    """Return the error as one of ours, where its meaning is known."""
    match error:
        case TougeError():
            return error
        case MemoryError():
            return TougeError("out of host memory. Use more shards or a smaller batch, or a machine with more")
        case ConnectionError() | TimeoutError():
            return InfrastructureError(f"the network failed: {error}")
        case OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EACCES | errno.EPERM | errno.EROFS, filename=name):
            return explained(error, str(name or "scratch"), Path(name).parent if name else Path.cwd())
    return None


def _place(error: Exception) -> str:
    """Return the file and line that raised the error."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown place"
