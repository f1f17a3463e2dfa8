"""Run records: what is wanted of each run and what is known of it, each change conditional on a version.

One port. Here its file adapter, for runs on this machine; verbs write `spec`, reconcile writes `status`.
Nothing here decides.
"""

from __future__ import annotations

import builtins
import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Protocol

import structlog
from pydantic import Field, ValidationError

from controller.state import RunSpec, RunStatus, State
from touge.contract.errors import AlreadyExists, Conflict, ObjectNotFound, SettingsError
from touge.contract.model import Document

log = structlog.get_logger()

_RECORD = "record.json"
_GATE: dict[bool | None, Literal["passed", "failed", "none"]] = {True: "passed", False: "failed", None: "none"}


class RunRecord(Document):
    """One run: its spec, its status, and the version that a change must name."""

    schema_version: Literal["touge.run/1"] = Field("touge.run/1", alias="schema")
    version: int | str = Field(description="changes with every write; never computed with by others than its adapter")
    spec: RunSpec
    status: RunStatus | None = None

    @property
    def run(self) -> str:
        """The run's id."""
        return self.spec.plan.run

    @property
    def over(self) -> bool:
        """Whether the run is in a terminal state that no `retry` has left since."""
        return self.status is not None and self.status.state.terminal and self.status.retry == self.spec.retry


class RunSummary(Document):
    """What a list of runs shows; cheaper to read than records."""

    run: str
    created_us: int
    state: State
    reason: str = ""
    gate: Literal["", "passed", "failed", "none"] = ""
    over: bool = False

    @classmethod
    def of(cls, record: RunRecord) -> RunSummary:
        """Return the summary of a record; a run that a `retry` has left its terminal state by is queued."""
        status = record.status
        if status is None or (status.state.terminal and not record.over):
            return cls(run=record.run, created_us=record.spec.created_us, state=State.QUEUED)
        return cls(
            run=record.run,
            created_us=record.spec.created_us,
            state=status.state,
            reason=status.reason,
            gate=_GATE[status.verdict.passed] if status.verdict else "",
            over=record.over,
        )


class Records(Protocol):
    """Where run records live."""

    def create(self, spec: RunSpec) -> RunRecord:
        """Write a new record; raises AlreadyExists."""
        ...

    def read(self, run: str) -> RunRecord:
        """Return a record; raises ObjectNotFound."""
        ...

    def list(self) -> list[RunRecord]:
        """Return all records, oldest first."""
        ...

    def summaries(self) -> builtins.list[RunSummary]:
        """Return what is known of all runs in a few words each, oldest first."""
        ...

    def update(self, record: RunRecord) -> RunRecord:
        """Write the record if its version is still the current one; raises Conflict."""
        ...

    def delete(self, run: str) -> None:
        """Remove the record and everything kept beside it; a missing one is fine."""
        ...


class FileRecords:
    """Records as files below `<home>/runs/`, changed under a lock."""

    def __init__(self, home: Path) -> None:
        self.home = home.absolute()

    def create(self, spec: RunSpec) -> RunRecord:
        """Write a new record."""
        record = RunRecord(version=1, spec=spec)
        with self._lock():
            if self._path(record.run).exists():
                raise AlreadyExists(f"run {record.run} exists already")
            self._write(record)
        return record

    def read(self, run: str) -> RunRecord:
        """Return a record."""
        try:
            return RunRecord.read_json(self._path(run).read_bytes())
        except FileNotFoundError:
            raise ObjectNotFound(f"no run {run!r} in {self.home}; `list` shows those that are") from None
        except ValidationError as error:
            raise SettingsError(
                f"{self._path(run)} is no run record of this version ({error.error_count()} problems). "
                f"Use the version of touge that wrote it, or remove {self._path(run).parent}"
            ) from error

    def list(self) -> list[RunRecord]:
        """Return all records, oldest first."""
        runs = [path.parent.name for path in self.home.glob(f"runs/*/{_RECORD}")]
        records = [record for run in runs if (record := self._readable(run))]
        return sorted(records, key=lambda record: (record.spec.created_us, record.run))

    def _readable(self, run: str) -> RunRecord | None:
        """Return a record, or None where it is gone meanwhile or damaged: the others are no worse for it."""
        try:
            return self.read(run)
        except ObjectNotFound:
            return None
        except SettingsError as error:
            log.warning("left out", run=run, error=str(error))
            return None

    def summaries(self) -> builtins.list[RunSummary]:
        """Return what is known of all runs, oldest first."""
        return [RunSummary.of(record) for record in self.list()]

    def update(self, record: RunRecord) -> RunRecord:
        """Write the record if nobody was faster; returns it with its new version."""
        with self._lock():
            current = self.read(record.run).version
            if current != record.version:
                raise Conflict(f"run {record.run} changed meanwhile (version {record.version}, now {current})")
            changed = record.model_copy(update={"version": int(current) + 1})
            self._write(changed)
        return changed

    def delete(self, run: str) -> None:
        """Remove the record and everything kept beside it."""
        with self._lock():
            self._path(run).unlink(missing_ok=True)
        shutil.rmtree(self._path(run).parent, ignore_errors=True)

    def _path(self, run: str) -> Path:
        return self.home / "runs" / run / _RECORD

    def _write(self, record: RunRecord) -> None:
        path = self._path(record.run)
        write_atomically(path, record.to_json().encode())

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        with explained(self.home):
            self.home.mkdir(parents=True, exist_ok=True)
            lock = (self.home / "records.lock").open("w")
        with lock, explained(self.home):
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def write_atomically(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file so that readers see the old content or the new, and a power cut loses neither."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".partial-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


@contextlib.contextmanager
def explained(home: Path) -> Iterator[None]:
    """Turn the operating system's refusals into what a person can act on."""
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"records in {home}: {error.strerror}. Make the folder writable, or set TOUGE_HOME to another"
        ) from error
