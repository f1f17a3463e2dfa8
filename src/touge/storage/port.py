"""The storage port: what every object store must do, and the rules that keys obey.

Stands below everything that reads or writes artifacts. Adapters (`local`, `s3`) implement it; nothing
here knows what the objects mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from touge.contract.artifacts import is_key
from touge.contract.errors import DataError


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object: key, size in bytes, entity tag of this version, time of last change in unix microseconds."""

    key: str
    size: int
    etag: str
    modified_us: int


class Store(Protocol):
    """A flat namespace of objects with conditional writes. Safe between threads and processes.

    Refused credentials, a missing bucket and a read-only folder are SettingsErrors (exit 10), a full disk and
    a store that does not answer are InfrastructureErrors (exit 30), everywhere below.
    """

    uri: str

    def get(self, key: str) -> bytes:
        """Return the object's content; raises ObjectNotFound."""
        ...

    def open(self, key: str, *, offset: int = 0, length: int | None = None) -> BinaryIO:
        """Return a stream over the object, or over `length` bytes from `offset` (fewer at its end).

        Raises:
            ObjectNotFound: If it does not exist.
        """
        ...

    def put(self, key: str, data: bytes | Path) -> ObjectInfo:
        """Write an object whole; readers see the old content or the new, never a part.

        Raises:
            DataError: If the key is invalid.
            OSError: If the file `data` cannot be read.
        """
        ...

    def create(self, key: str, data: bytes) -> ObjectInfo:
        """Write an object that must not exist.

        Raises:
            AlreadyExists: If the key is taken; perhaps by this very call, whose first answer was lost.
            Conflict: If another write was under way: try again.
        """
        ...

    def replace(self, key: str, data: bytes, *, etag: str) -> ObjectInfo:
        """Write an object only if it still has this entity tag.

        To change what was read, call `stat`, then `get`, then this: in that order no change is missed.

        Raises:
            Conflict: If it has changed or is gone; perhaps by this very call, whose first answer was lost.
        """
        ...

    def stat(self, key: str) -> ObjectInfo:
        """Return what is known of the object without reading it; raises ObjectNotFound."""
        ...

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield all objects whose key starts with `prefix`, in key order."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object; a missing one is fine."""
        ...


def check_key(key: str) -> str:
    """Return the key if every store can hold it.

    Raises:
        DataError: If it is empty, absolute, too long, or has a segment that path-like servers would fold.
    """
    if not is_key(key):
        raise DataError(
            f"store key {key!r}: expected printable non-empty segments joined by single slashes, none of them . or .."
        )
    return key


def check_prefix(prefix: str) -> str:
    """Return the prefix of a listing if it could begin a key; raises DataError."""
    if prefix:
        check_key(f"{prefix}x")
    return prefix
