"""A store in a folder: an object appears by rename or hard link of a finished, synced file.

Conditional creation is a hard link, which is atomic, exclusive and needs no lock that a frozen process
could keep; conditional replacement compares and renames under a lock.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from touge.contract.errors import (
    AlreadyExists,
    Conflict,
    DataError,
    InfrastructureError,
    ObjectNotFound,
    SettingsError,
    TougeError,
)
from touge.storage.port import ObjectInfo, check_key, check_prefix

_CHUNK = 1 << 20
_TRIES = 20
#: Unfinished files are named so that no key and no listing means them.
_TEMPORARY = ".touge-partial-"
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
#: EFBIG is a limit on file sizes (ulimit -f, FAT).
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_MISSING = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR}
_CLASH = {errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY}


class LocalStore:
    """Objects as files below one folder; safe between processes of one machine."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.uri = f"file://{self.root}"

    def get(self, key: str) -> bytes:
        """Return the object's content; raises ObjectNotFound."""
        with self.open(key) as stream, self._reading(key):
            return stream.read()

    def open(self, key: str, *, offset: int = 0, length: int | None = None) -> BinaryIO:
        """Return a stream over the object or a part of it; raises ObjectNotFound."""
        path = self._path(key)
        with self._reading(key):
            stream = path.open("rb")
            stream.seek(offset)
            if length is None:
                return stream
            with stream:
                return io.BytesIO(stream.read(length))

    def put(self, key: str, data: bytes | Path) -> ObjectInfo:
        """Write an object whole, by renaming a finished and synced file."""
        path = self._path(key)
        with _source(data) as source, self._writing(key), _finished_file(path, source) as finished:
            info = _info(key, finished.stat())
            finished.replace(path)
            _sync_folder(path.parent)
        return info

    def create(self, key: str, data: bytes) -> ObjectInfo:
        """Write an object that must not exist."""
        path = self._path(key)
        with _source(data) as source, self._writing(key), _finished_file(path, source) as finished:
            info = _info(key, finished.stat())
            try:
                os.link(finished, path)
            except FileExistsError:
                raise AlreadyExists(f"{self.uri}/{key} exists already") from None
            _sync_folder(path.parent)
        return info

    def replace(self, key: str, data: bytes, *, etag: str) -> ObjectInfo:
        """Write an object only if it still has this entity tag."""
        with self._writing(key), self._lock():
            current = self._etag(key)
            if current != etag:
                raise Conflict(f"{self.uri}/{key}: expected version {etag}, found {current}. Read it and try again")
            return self.put(key, data)

    def stat(self, key: str) -> ObjectInfo:
        """Return size, time and version of the object; raises ObjectNotFound."""
        path = self._path(key)
        with self._reading(key):
            state = path.stat()
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, "is a folder")
            return _info(key, state)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield all objects whose key starts with `prefix`, in key order."""
        start = self.root / check_prefix(prefix).rpartition("/")[0]
        with self._reading(prefix):
            keys = sorted(path.relative_to(self.root).as_posix() for path in _files(start))
        for key in keys:
            if key.startswith(prefix):
                with contextlib.suppress(ObjectNotFound):
                    yield self.stat(key)

    def delete(self, key: str) -> None:
        """Remove the object and the folders that are empty then; a missing one is fine."""
        path = self._path(key)
        with self._writing(key), contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            path.unlink()
        _remove_if_empty(path.parent, self.root)

    def _path(self, key: str) -> Path:
        if check_key(key).rpartition("/")[2].startswith(_TEMPORARY):
            raise DataError(f"store key {key!r}: names that begin with {_TEMPORARY} are unfinished files")
        return self.root / key

    def _etag(self, key: str) -> str:
        try:
            return self.stat(key).etag
        except ObjectNotFound:
            return "nothing"

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        _make_folder(self.root)
        with (self.root / f"{_TEMPORARY}lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def _reading(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _MISSING:
                raise ObjectNotFound(f"{self.uri}/{key} does not exist") from None
            raise explained(error, f"{self.uri}/{key}", self.root) from error

    @contextlib.contextmanager
    def _writing(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise explained(error, f"{self.uri}/{key}", self.root) from error


def explained(error: OSError, where: str, root: Path) -> TougeError:
    """Return what the operating system's refusal means to a person.

    Args:
        error: What the system said.
        where: What was to be read or written.
        root: The folder whose owner can help.
    """
    if error.errno in _FORBIDDEN:
        return SettingsError(
            f"{where} cannot be read or written: {error.strerror}. Give this user rights to {root}, or choose another"
        )
    if error.errno in _FULL:
        return InfrastructureError(f"{where} was not written: {error.strerror}. Free some space below {root}")
    if error.errno in _CLASH:
        return DataError(f"{where} cannot be written: a key is a folder of another key ({error.strerror})")
    return InfrastructureError(f"{where}: {error.strerror}")


def _info(key: str, state: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, state.st_size, f"{state.st_ino:x}-{state.st_mtime_ns:x}", state.st_mtime_ns // 1000)


def _files(folder: Path) -> Iterator[Path]:
    """Yield the finished files below a folder, through links; one that vanishes meanwhile is left out."""
    for parent, folders, names in os.walk(folder, onerror=_unless_missing, followlinks=True):
        folders[:] = [name for name in folders if not _leads_back(Path(parent, name))]
        yield from (Path(parent, name) for name in names if not name.startswith(_TEMPORARY))


def _leads_back(folder: Path) -> bool:
    """Whether a folder is a link to one that it lies in."""
    return folder.is_symlink() and folder.resolve() in {parent.resolve() for parent in folder.parents}


def _unless_missing(error: OSError) -> None:
    if error.errno not in _MISSING:
        raise error


@contextlib.contextmanager
def _source(data: bytes | Path) -> Iterator[BinaryIO]:
    with io.BytesIO(data) if isinstance(data, bytes) else data.open("rb") as stream:
        yield stream


@contextlib.contextmanager
def _finished_file(path: Path, source: BinaryIO) -> Iterator[Path]:
    """Copy `source` to a synced file beside `path`; it is gone afterwards unless it was renamed."""
    descriptor, name = _new_file(path.parent)
    try:
        with os.fdopen(descriptor, "wb") as out:
            while chunk := source.read(_CHUNK):
                out.write(chunk)
            out.flush()
            os.fchmod(descriptor, 0o644)
            # The kernel's own times are milliseconds coarse; a version's must differ from the last one's.
            now = time.time_ns()
            os.utime(descriptor, ns=(now, now))
            os.fsync(descriptor)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _new_file(folder: Path) -> tuple[int, str]:
    """Open a file of a new name; its folder is made again if a deletion empties and removes it meanwhile."""
    for _ in range(_TRIES):
        _make_folder(folder)
        with contextlib.suppress(FileNotFoundError):
            return tempfile.mkstemp(prefix=_TEMPORARY, dir=folder)
    raise FileNotFoundError(errno.ENOENT, "the folder vanished again and again")


def _remove_if_empty(folder: Path, root: Path) -> None:
    with contextlib.suppress(OSError):
        while folder != root:
            folder.rmdir()
            folder = folder.parent


def _make_folder(folder: Path) -> None:
    """Create a folder and its parents, each entry synced, so that no crash loses a committed file's path."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    with contextlib.suppress(FileNotFoundError):
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:  # emptied and removed meanwhile: nothing is left to lose
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
