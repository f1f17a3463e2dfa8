"""Executions and the commit protocol: own prefix, manifest last, one winner (design: artifacts in the object store).

Stands between a stage's work and the store. Two executions of one stage may overlap; each writes below
its own prefix only, and the commit mark, created once, says whose files count.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from touge.contract.artifacts import (
    Commit,
    FileEntry,
    Manifest,
    StageRef,
    checkpoint_prefix,
    folder_clash,
    is_key,
)
from touge.contract.errors import DataError, InfrastructureError, Interrupted, ObjectNotFound
from touge.contract.progress import Progress
from touge.storage.port import Store

MANIFEST = "manifest.json"
PROGRESS = "progress.json"
CHECKPOINTS = "checkpoints/"
_CHUNK = 1 << 20
#: Pauses between tries to commit, seconds: hours of work are worth two minutes of a store's restart.
_COMMIT_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 60.0)
_CHECKPOINT_MARK = re.compile(rf".*/{CHECKPOINTS}step-(\d+)/{MANIFEST}")


class Outcome(StrEnum):
    """How an execution's commit ended; both are success."""

    WON = "won"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Artifact:
    """Files below a prefix, with the manifest that lists them."""

    store: Store
    prefix: str
    manifest: Manifest

    def read(self, name: str) -> bytes:
        """Return one file, verified.

        Raises:
            DataError: If the artifact has no such file, or its content is not what was written.
        """
        entry = self._entry(name)
        data = self.store.get(self.prefix + name)
        self._verify(entry, hashlib.sha256(data).hexdigest())
        return data

    def fetch(self, folder: Path, names: Iterable[str] | None = None) -> Path:
        """Download some or all files, keeping their names; returns the folder.

        A file appears there when it is whole and verified.

        Raises:
            DataError: If the artifact has no such file, or its content is not what was written.
        """
        for name in self.names() if names is None else names:
            self._download(self._entry(name), folder / name)
        return folder

    def names(self, prefix: str = "") -> tuple[str, ...]:
        """Return the names of the files that start with `prefix`."""
        return tuple(entry.name for entry in self.manifest.files if entry.name.startswith(prefix))

    def _entry(self, name: str) -> FileEntry:
        for entry in self.manifest.files:
            if entry.name == name:
                return entry
        known = ", ".join(self.names()[:8]) or "nothing"
        raise DataError(f"{self.store.uri}/{self.prefix}: no file {name!r}; the manifest lists {known}")

    def _download(self, entry: FileEntry, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.partial")
        content = hashlib.sha256()
        with self.store.open(self.prefix + entry.name) as stream, partial.open("wb") as out:
            while chunk := stream.read(_CHUNK):
                content.update(chunk)
                out.write(chunk)
        self._verify(entry, content.hexdigest())
        partial.replace(target)

    def _verify(self, entry: FileEntry, sha256: str) -> None:
        if sha256 != entry.sha256:
            stage = self.prefix.partition("/executions/")[0]
            raise DataError(
                f"{self.store.uri}/{self.prefix}{entry.name}: sha256 is {sha256[:12]}…, the manifest says "
                f"{entry.sha256[:12]}…; it was damaged or changed. Remove what lies below {stage}/ and submit again"
            )


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A complete checkpoint of some execution."""

    step: int
    artifact: Artifact


@dataclass(slots=True)
class Execution:
    """One process at work on a stage: writes below its own prefix, then commits.

    Args:
        store: Where to.
        ref: What it would commit.
        name: Its own name, `<run>-<attempt>-<uid>`.
        clock: Unix time in microseconds.
        pause: Waits so many seconds between tries to commit.
    """

    store: Store
    ref: StageRef
    name: str
    clock: Callable[[], int]
    pause: Callable[[float], None] = time.sleep
    _files: dict[str, FileEntry] = field(default_factory=dict)
    _sealed: bytes | None = None

    @property
    def prefix(self) -> str:
        """Where this execution writes, and nowhere else."""
        return self.ref.execution_prefix(self.name)

    def write(self, name: str, data: bytes | Path) -> FileEntry:
        """Store one file and list it for the manifest.

        Raises:
            DataError: If the name is invalid, reserved, or a folder of another's.
        """
        self._check_name(name)
        entry = _entry_of(name, data)
        self.store.put(self.prefix + name, data)
        self._files[name] = entry
        return entry

    def write_folder(self, folder: Path, name: str) -> None:
        """Store every file below `folder` as `name/<relative path>`."""
        for path in _files_below(folder):
            self.write(f"{name}/{path.relative_to(folder).as_posix()}", path)

    def report(self, progress: Progress) -> None:
        """Tell how far the work is; the last word counts, and one that is lost stops no work."""
        with contextlib.suppress(InfrastructureError):
            self.store.put(self.prefix + PROGRESS, progress.to_json().encode())

    def checkpoint(self, step: int, folder: Path, metadata: dict[str, Any]) -> None:
        """Store a checkpoint: its files, then the manifest that makes it complete."""
        self.begin_checkpoint(step)
        self.complete_checkpoint(step, self.add_to_checkpoint(step, folder), metadata)

    def begin_checkpoint(self, step: int) -> None:
        """Make the checkpoint of a step incomplete, if there is one; before any of its files is written."""
        self.store.delete(self.prefix + checkpoint_prefix(step) + MANIFEST)

    def add_to_checkpoint(self, step: int, folder: Path) -> list[FileEntry]:
        """Store files of a checkpoint and return what `complete_checkpoint` must be told; any process may.

        Raises:
            DataError: If a file has the manifest's name.
        """
        paths = {path.relative_to(folder).as_posix(): path for path in _files_below(folder)}
        if MANIFEST in paths:
            raise DataError(f"checkpoint of step {step}: {MANIFEST} is the name of the list of its files")
        entries = []
        for name, path in paths.items():
            entries.append(_entry_of(name, path))
            self.store.put(self.prefix + checkpoint_prefix(step) + name, path)
        return entries

    def complete_checkpoint(self, step: int, entries: Iterable[FileEntry], metadata: dict[str, Any]) -> None:
        """Write the manifest, once every file is stored."""
        manifest = self._manifest(entries, metadata).to_json().encode()
        self.store.put(self.prefix + checkpoint_prefix(step) + MANIFEST, manifest)

    def prune_checkpoints(self, keep: int) -> None:
        """Remove its own checkpoints that are older than the newest `keep` complete ones, manifest first."""
        prefix = self.prefix + CHECKPOINTS
        steps = {info.key: info.key.removeprefix(prefix).partition("/")[0] for info in self.store.list(prefix)}
        complete = sorted(step for key, step in steps.items() if key == f"{prefix}{step}/{MANIFEST}")
        kept = complete[max(0, len(complete) - keep) :]
        doomed = [key for key, step in steps.items() if step not in kept and step <= max(complete, default="")]
        for key in sorted(doomed, key=lambda key: not key.endswith(f"/{MANIFEST}")):
            self.store.delete(key)

    def commit(self, metadata: dict[str, Any], *, cancelled: Callable[[], bool] = lambda: False) -> Outcome:
        """Write the manifest, then try to win the stage; afterwards nothing can be added.

        Raises:
            Interrupted: If the run was cancelled: such an execution does not commit.
            InfrastructureError: If the store takes no mark, or tells no winner, for two minutes.
        """
        if self._sealed is None:
            manifest = self._manifest(self._files.values(), metadata).to_json().encode()
            self.store.put(self.prefix + MANIFEST, manifest)
            self._sealed = manifest
        if cancelled():
            raise Interrupted(f"{self.ref.id}: the run was cancelled; the result is not committed")
        return self._win(self._sealed)

    def _win(self, manifest: bytes) -> Outcome:
        """Create the commit mark, and read it back whenever the answer is anything but yes."""
        sha256 = hashlib.sha256(manifest).hexdigest()
        mark = Commit(stage=self.ref.id, execution=self.name, manifest_sha256=sha256).to_json().encode()
        for pause in (*_COMMIT_PAUSES, None):
            try:
                self.store.create(self.ref.committed_key, mark)
            except InfrastructureError as error:
                if winner := _winner_if_known(self.store, self.ref):
                    return Outcome.WON if winner.execution == self.name else Outcome.SUPERSEDED
                if pause is None:
                    raise InfrastructureError(
                        f"{self.ref.committed_key}: the stage is not committed: {error}"
                    ) from error
                self.pause(pause)
            else:
                break
        return Outcome.WON

    def _check_name(self, name: str) -> None:
        where = f"{self.ref.id}: file {name!r}"
        if self._sealed is not None:
            raise DataError(f"{where} comes after the manifest; an artifact does not change once it is listed")
        if not is_key(name) or name in {MANIFEST, PROGRESS} or name.startswith(CHECKPOINTS):
            raise DataError(f"{where}: not a relative path, or a name of the protocol's own ({MANIFEST}, {PROGRESS})")
        if clash := folder_clash(name, self._files):
            raise DataError(f"{where} and {clash!r}: one is a folder of the other, which not every store can hold")

    def _manifest(self, entries: Iterable[FileEntry], metadata: dict[str, Any]) -> Manifest:
        files = tuple(sorted(entries, key=lambda entry: entry.name))
        return Manifest(stage=self.ref.id, execution=self.name, created_us=self.clock(), files=files, metadata=metadata)


def committed(store: Store, ref: StageRef) -> Artifact | None:
    """Return the winning execution's artifact, or None while there is none.

    Raises:
        DataError: If the mark or the winner's manifest is damaged, changed or gone.
    """
    winner = _winner(store, ref)
    if winner is None:
        return None
    prefix = ref.execution_prefix(winner.execution)
    where = f"{store.uri}/{prefix}{MANIFEST}"
    remedy = f"Remove what lies below {ref.prefix}/ and submit again"
    try:
        data = store.get(prefix + MANIFEST)
    except ObjectNotFound as error:
        raise DataError(f"{where} is gone, and {ref.committed_key} names it. {remedy}") from error
    if hashlib.sha256(data).hexdigest() != winner.manifest_sha256:
        raise DataError(f"{where} is not what was committed; it was damaged or changed. {remedy}")
    return Artifact(store, prefix, Manifest.read_json(data))


def executions(store: Store, ref: StageRef) -> tuple[str, ...]:
    """Return the names of all executions that wrote anything, sorted."""
    keys = (info.key.removeprefix(ref.executions_prefix) for info in store.list(ref.executions_prefix))
    return tuple(sorted({key.split("/")[0] for key in keys}))


def newest_checkpoint(store: Store, ref: StageRef) -> Checkpoint | None:
    """Return the newest complete checkpoint over all executions: manifest readable and every file of its size.

    Contents are verified where they are read.
    """
    sizes = {info.key: info.size for info in store.list(ref.executions_prefix)}
    marks = [(int(match[1]), key) for key in sizes if (match := _CHECKPOINT_MARK.fullmatch(key))]
    for step, key in sorted(marks, reverse=True):
        prefix = key.removesuffix(MANIFEST)
        try:
            manifest = Manifest.read_json(store.get(key))
        except (ObjectNotFound, ValidationError):
            continue
        if all(sizes.get(prefix + entry.name) == entry.size for entry in manifest.files):
            return Checkpoint(step, Artifact(store, prefix, manifest))
    return None


def read_progress(store: Store, ref: StageRef, execution: str) -> Progress | None:
    """Return an execution's last progress report, if it made one."""
    try:
        return Progress.read_json(store.get(ref.execution_prefix(execution) + PROGRESS))
    except (ObjectNotFound, ValidationError):
        return None


def _winner(store: Store, ref: StageRef) -> Commit | None:
    try:
        return Commit.read_json(store.get(ref.committed_key))
    except ObjectNotFound:
        return None
    except ValidationError as error:
        raise DataError(
            f"{store.uri}/{ref.committed_key} is no commit mark; it was damaged or changed. Remove it and submit again"
        ) from error


def _winner_if_known(store: Store, ref: StageRef) -> Commit | None:
    with contextlib.suppress(InfrastructureError):
        return _winner(store, ref)
    return None


def _files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _entry_of(name: str, data: bytes | Path) -> FileEntry:
    if isinstance(data, bytes):
        return FileEntry(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest())
    with data.open("rb") as stream:
        content = hashlib.file_digest(stream, "sha256").hexdigest()
    return FileEntry(name=name, size=data.stat().st_size, sha256=content)
