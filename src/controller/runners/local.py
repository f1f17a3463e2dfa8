"""The local runner: each execution a process of this machine, with the environment and files that a pod would have.

A keeper process (`supervise`) runs each stage and writes down how it ended, so that the controller may
die and come back. Everything known lies in `<home>/runs/<run>/executions/<task>.<attempt>/`; a folder
that appears whole and only once makes every start exclusive.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from controller.records import explained, write_atomically
from controller.runners import supervise
from controller.runners.port import StartRequest
from controller.runners.process import ProcessId
from controller.state import Execution, Reason, State, Task
from touge.contract.environment import StageEnvironment
from touge.contract.exit_codes import ExitCode, rule_for
from touge.contract.plan import Plan, Stage, StageName
from touge.contract.processors import Share

#: What runs each stage; the same modules are the entry points of the images.
COMMANDS: Mapping[StageName, Sequence[str]] = {
    "curate-map": (sys.executable, "-m", "touge.curation"),
    "curate": (sys.executable, "-m", "touge.curation"),
    "train": (sys.executable, "-m", "touge.training"),
    "evaluate-map": (sys.executable, "-m", "touge.evaluation"),
    "evaluate": (sys.executable, "-m", "touge.evaluation"),
}

#: Variables of the controller that a stage sees: how to run Python, reach the store and find a GPU. Nothing else.
PASSED = (
    {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"}
    | {"VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"}
    | {"SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}
    | {"http_proxy", "https_proxy", "no_proxy", "HF_HOME", "HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE"}
    | {"TOUGE_DEBUG", "TOUGE_CODE_DIGESTS"}
)
PASSED_PREFIXES = ("AWS_", "TOUGE_S3_")

LOG_TAIL = 20
_TAIL_BYTES = 16_384
_POLL_S = 0.2
#: A killed process that still waits for a disk ends within this.
_DYING_S = 10.0
_REQUEST, _TERMINATION, _PLAN = "request.json", "termination", "plan.json"
_PREFIX = ".claim-"


@dataclass(frozen=True)
class LocalRunner:
    """Executions as processes of this machine.

    Args:
        home: Folder of the controller's records.
        commands: Command line of each stage.
        environ: The controller's environment, of which a stage sees what `PASSED` names.
    """

    home: Path
    commands: Mapping[StageName, Sequence[str]]
    environ: Mapping[str, str]

    @property
    def parallel(self) -> int:
        """One execution a processor."""
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def place(self, stage: Stage, plan: Plan) -> str:  # noqa: ARG002 - the port's; every stage runs here
        """Say that a stage runs on this machine, and on what."""
        return "this machine, GPU" if _has_gpu() else "this machine, CPU"

    def start(self, request: StartRequest) -> None:
        """Claim the execution and hand it to a keeper; a second start of the same one does nothing."""
        with explained(self.home):
            plan = self._write_plan(request.plan)
            folder = self._claim(request)
        if folder is None:
            return
        problem = self._hand_over(request, folder, plan)
        if problem:
            (folder / _TERMINATION).write_text(f"its keeper did not start: {problem}")
            supervise.write_exit(folder, None, Reason.LOST)

    def observe(self, run: str) -> list[Execution]:
        """Return every execution of the run, in order of their start."""
        return [_execution(folder) for folder in self._folders(run)]

    def logs(self, run: str, stage: str | None, follow: Callable[[], bool]) -> Iterator[str]:
        """Yield log lines, prefixed with the task where more than one may speak."""
        read: dict[Path, int] = {}
        going_on = True
        while going_on:
            going_on = follow()
            for folder in self._folders(run):
                task = _task(_read(folder / _REQUEST))
                if stage in {None, task.stage}:
                    prefix = "" if stage and not stage.endswith("-map") else f"{task} | "
                    yield from (prefix + line for line in _new_lines(folder / supervise.LOG, read, whole=not going_on))
            if going_on:
                time.sleep(_POLL_S)

    def stop(self, run: str, task: Task, attempt: int, *, kill: bool = False) -> None:
        """Ask the keeper to stop the stage, or kill the stage at once; without a keeper, do it directly."""
        folder = self._executions(run) / _name(task, attempt)
        keeper, stage = _process(folder / supervise.KEEPER), _process(folder / supervise.STAGE)
        if stage and kill:
            stage.send(signal.SIGKILL, group=True)
        elif keeper and keeper.alive:
            keeper.send(signal.SIGTERM)
        elif stage:
            stage.send(signal.SIGTERM, group=True)

    def delete(self, run: str) -> None:
        """Kill what runs and remove the run's folder, once nobody writes there: keepers note how a stage ended."""
        for folder, name in product(self._folders(run), (supervise.KEEPER, supervise.STAGE)):
            if leader := _process(folder / name):
                _kill(leader)
        shutil.rmtree(self.home / "runs" / run, ignore_errors=True)

    def _hand_over(self, request: StartRequest, folder: Path, plan: Path) -> str:
        """Start the keeper, which leaves for a session of its own; returns what went wrong, if anything."""
        command = [sys.executable, "-m", "controller.runners.supervise", str(folder)]
        log = folder / "keeper.log"
        try:
            with log.open("wb") as errors:
                done = subprocess.run(  # noqa: S603 - our own module
                    [*command, *self.commands[request.task.stage]],
                    env=self._environment(request, folder, plan),
                    stdin=subprocess.DEVNULL,
                    stdout=errors,
                    stderr=errors,
                    check=False,
                )
        except OSError as error:
            return str(error)
        return " ".join(_tail(log)[-1:]) or "no reason given" if done.returncode else ""

    def _claim(self, request: StartRequest) -> Path | None:
        """Return the execution's new folder, or None if somebody has started it already."""
        executions = self._executions(request.plan.run)
        executions.mkdir(parents=True, exist_ok=True)
        claim = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=executions))
        starter = ProcessId.own()
        document = {
            "task": request.task.model_dump(mode="json"),
            "attempt": request.attempt,
            "uid": uuid.uuid4().hex[:12],
            "requested_us": time.time_ns() // 1000,
            "starter": {"pid": starter.pid, "started": starter.started},
        }
        supervise.write_json(claim / _REQUEST, document)
        target = executions / _name(request.task, request.attempt)
        try:
            claim.rename(target)
        except OSError:
            shutil.rmtree(claim)
            return None
        return target

    def _write_plan(self, plan: Plan) -> Path:
        path = self.home / "runs" / plan.run / _PLAN
        text = plan.to_json().encode()
        if not path.exists() or path.read_bytes() != text:
            write_atomically(path, text, mode=0o444)
        return path.absolute()

    def _environment(self, request: StartRequest, folder: Path, plan: Path) -> dict[str, str]:
        own = {k: v for k, v in self.environ.items() if k in PASSED or k.startswith(PASSED_PREFIXES)}
        share = Share.of(request.plan.stage(request.task.stage), request.plan.recipe, self.parallel, gpu=_has_gpu())
        stage = StageEnvironment(
            plan=str(plan),
            store=request.store,
            stage=request.task.stage,
            attempt=request.attempt,
            uid=_read(folder / _REQUEST)["uid"],
            scratch=str(folder / supervise.SCRATCH),
            termination_log=str(folder / _TERMINATION),
            index=request.task.shard,
        )
        given = {"PYTHONUNBUFFERED": "1", "TOUGE_GRACE_S": str(supervise.GRACE_S)}
        return share.to_environ() | given | own | stage.to_environ()

    def _executions(self, run: str) -> Path:
        return self.home.absolute() / "runs" / run / "executions"

    def _folders(self, run: str) -> list[Path]:
        found = [path for path in self._executions(run).glob("*") if not path.name.startswith(_PREFIX)]
        return sorted(found, key=lambda folder: (_read(folder / _REQUEST)["requested_us"], folder.name))


def _kill(leader: ProcessId) -> None:
    """Kill the group that a process leads, and wait for the process's end."""
    leader.send(signal.SIGKILL, group=True)
    deadline = time.monotonic() + _DYING_S
    while leader.alive and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _has_gpu() -> bool:
    return Path("/dev/nvidia0").exists()


def _name(task: Task, attempt: int) -> str:
    return f"{task.stage}.{task.shard:05d}.{attempt}"


def _execution(folder: Path) -> Execution:
    request = _read(folder / _REQUEST)
    stage, end = _read(folder / supervise.STAGE), _read(folder / supervise.EXIT) or _end_of_a_lost_one(folder, request)
    common = {
        "task": _task(request),
        "attempt": request["attempt"],
        "uid": request["uid"],
        "started_us": stage.get("started_us"),
    }
    if not end:
        return Execution(state=State.RUNNING if stage else State.STARTING, **common)
    code = end["code"]
    tail = () if code == ExitCode.OK else _tail(folder / supervise.LOG)
    return Execution(
        state=State.SUCCEEDED if code == ExitCode.OK else State.FAILED,
        reason=end["reason"] or rule_for(code).reason,
        message=_text(folder / _TERMINATION) or "".join(tail[-1:]),  # as terminationMessagePolicy FallbackToLogsOnError
        exit_code=code,
        log_tail=tail,
        ended_us=end["ended_us"],
        **common,
    )


def _end_of_a_lost_one(folder: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the end of an execution that nobody keeps any more, or nothing while somebody does."""
    if _kept(folder, request):
        return {}
    with supervise.locked(folder):
        if not _kept(folder, request) and not (folder / supervise.EXIT).exists():
            shutil.rmtree(folder / supervise.SCRATCH, ignore_errors=True)
            supervise.write_exit(folder, None, Reason.LOST)
    return _read(folder / supervise.EXIT)


def _kept(folder: Path, request: Mapping[str, Any]) -> bool:
    """Return whether the keeper lives, or the stage without it, or the starter that is about to make a keeper."""
    keeper, stage = _process(folder / supervise.KEEPER), _process(folder / supervise.STAGE)
    if keeper is None:
        return ProcessId(**request["starter"]).alive
    return keeper.alive or bool(stage and stage.alive)


def _process(path: Path) -> ProcessId | None:
    document = _read(path)
    return ProcessId(document["pid"], document["started"]) if document else None


def _task(request: Mapping[str, Any]) -> Task:
    return Task.model_validate(request["task"])


def _read(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    return document


def _text(path: Path) -> str:
    return path.read_text(errors="replace").strip() if path.exists() else ""


def _tail(path: Path) -> tuple[str, ...]:
    """Return the last lines of a log that may be long."""
    if not path.exists():
        return ()
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return tuple(stream.read().decode(errors="replace").splitlines()[-LOG_TAIL:])


def _new_lines(log: Path, read: dict[Path, int], *, whole: bool) -> Iterator[str]:
    """Yield the complete lines that were not read yet; `whole`: the unfinished last one, too."""
    if not log.exists():
        return
    with log.open("rb") as stream:
        stream.seek(read.get(log, 0))
        for line in stream:
            if not line.endswith(b"\n") and not whole:
                return
            read[log] = read.get(log, 0) + len(line)
            yield line.decode(errors="replace").rstrip("\n")
