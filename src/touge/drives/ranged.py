"""A seekable file over an object of a store, read by ranges: a zip member costs its own bytes only."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from touge.contract.errors import DataError, ObjectNotFound
from touge.storage import Store

#: Bytes read ahead: the directory of a chunk of some hundred clips fits.
_BUFFER = 1 << 18


class RangedFile(io.RawIOBase):
    """Reads an object of a store at any position."""

    def __init__(self, store: Store, key: str) -> None:
        super().__init__()
        self._store, self._key, self._position = store, key, 0
        self._size = store.stat(key).size

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position from the start, from here or from the end."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill the buffer from here; return how many bytes there were."""
        length = min(len(buffer), self._size - self._position)
        if length <= 0:
            return 0
        with self._store.open(self._key, offset=self._position, length=length) as stream:
            data = stream.read()
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def read_object(store: Store, key: str) -> bytes:
    """Return an object of a data set.

    Raises:
        DataError: If it is not there: a data set with a hole will not heal by another try.
    """
    try:
        return store.get(key)
    except ObjectNotFound as error:
        raise _missing(store, key) from error


def read_member(store: Store, key: str, member: str) -> bytes:
    """Return one member of a zip, without reading the others.

    Raises:
        DataError: If the zip or the member is missing or damaged.
    """
    with _zip(store, key) as archive:
        try:
            return archive.read(member)
        except KeyError:
            raise DataError(f"{store.uri}/{key}: holds no {member}; download the chunk again") from None
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise _corrupt(store, key, f"{member}: {error}") from error


@contextmanager
def _zip(store: Store, key: str) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(io.BufferedReader(RangedFile(store, key), _BUFFER))
    except ObjectNotFound as error:
        raise _missing(store, key) from error
    except zipfile.BadZipFile as error:
        raise _corrupt(store, key, str(error)) from error
    with archive:
        yield archive


def _missing(store: Store, key: str) -> DataError:
    return DataError(f"{store.uri}/{key} is missing; download that file or leave out what needs it")


def _corrupt(store: Store, key: str, reason: str) -> DataError:
    return DataError(f"{store.uri}/{key} is not a whole zip file ({reason}); download it again")
