"""Frames that brought rows name, as files or members of tars, with an index beside the tar or without one."""

from __future__ import annotations

import shutil
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

from touge.contract.errors import DataError, ObjectNotFound
from touge.storage import Store
from touge.storage.shards import INDEX_SUFFIX, Member, ShardReader, TarIndex


@dataclass(slots=True)
class BroughtFrames:
    """Reads frames of one source.

    Attributes:
        store: Root that the rows' paths are relative to.
        scratch: Where a tar without an index lies while it is indexed.
    """

    store: Store
    scratch: Path
    _indexed: ShardReader = field(init=False)
    _indexes: dict[str, dict[str, Member] | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._indexed = ShardReader(self.store)

    def read(self, path: str) -> bytes:
        """Return the content of `key` or `key#member`.

        Raises:
            DataError: If it is missing, or its tar is damaged.
        """
        tar, _, name = path.partition("#")
        if not name or (members := self._members(tar)) is None:
            return self._indexed.read(path)
        if name not in members:
            raise DataError(f"{self.store.uri}/{tar}: no member {name!r} among {len(members)}; write the row again")
        member = members[name]
        with self.store.open(tar, offset=member.offset, length=member.size) as stream:
            return stream.read()

    def _members(self, tar: str) -> dict[str, Member] | None:
        """Return the members of a tar that has no index, or None where it has one."""
        if tar not in self._indexes:
            self._indexes[tar] = None if self._has_index(tar) else self._scanned(tar)
        return self._indexes[tar]

    def _has_index(self, tar: str) -> bool:
        try:
            self.store.stat(tar + INDEX_SUFFIX)
        except ObjectNotFound:
            return False
        return True

    def _scanned(self, tar: str) -> dict[str, Member]:
        copy = self.scratch / "brought.tar"
        try:
            with self.store.open(tar) as stream, copy.open("wb") as out:
                shutil.copyfileobj(stream, out)
            return {member.name: member for member in TarIndex.of(copy).members}
        except ObjectNotFound as error:
            raise DataError(f"{self.store.uri}/{tar} does not exist; copy the frames beside the rows") from error
        except tarfile.TarError as error:
            raise DataError(
                f"{self.store.uri}/{tar} is no readable uncompressed tar ({error}); pack the frames again"
            ) from error
        finally:
            copy.unlink(missing_ok=True)
