"""Files inside tar shards, read one by one by range: `<key of the tar>#<member>`, with the index beside the tar.

Stands between curation, which writes frames as tars, and whoever reads single frames. Nothing is unpacked.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from touge.contract.errors import DataError, ObjectNotFound
from touge.contract.model import Document
from touge.storage.port import Store

#: Behind the tar's own key.
INDEX_SUFFIX = ".idx.json"


class Member(Document):
    """One file of a tar: name, where its content begins, how long it is, both in bytes."""

    name: str
    offset: int = Field(ge=0)
    size: int = Field(ge=0)


class TarIndex(Document):
    """Where every member of a tar lies."""

    schema_version: Literal["touge.tar-index/1"] = Field("touge.tar-index/1", alias="schema")
    members: tuple[Member, ...]

    @classmethod
    def of(cls, path: Path) -> TarIndex:
        """Return the index of an uncompressed tar file."""
        with tarfile.open(path, "r:") as tar:
            found = [Member(name=info.name, offset=info.offset_data, size=info.size) for info in tar if info.isfile()]
        return cls(members=tuple(found))


@dataclass(frozen=True, slots=True)
class ShardReader:
    """Reads members of tars of one store; every index is read once. Safe to share between threads."""

    store: Store
    _indexes: dict[str, dict[str, Member]] = field(default_factory=dict)

    def read(self, path: str) -> bytes:
        """Return the content of `key` or `key#member`, relative to the store's root.

        Raises:
            DataError: If the object, its index or the member is missing, or the index is damaged.
        """
        key, _, name = path.partition("#")
        try:
            return self._member(key, name) if name else self.store.get(key)
        except ObjectNotFound as error:
            raise DataError(f"{path}: {error}. Curate again, or copy the shards beside the samples") from error

    def _member(self, key: str, name: str) -> bytes:
        index = self._index(key)
        if name not in index:
            raise DataError(f"{self.store.uri}/{key}: no member {name!r} among {len(index)}; another curation's shard")
        member = index[name]
        with self.store.open(key, offset=member.offset, length=member.size) as stream:
            data = stream.read()
        if len(data) != member.size:
            raise DataError(f"{self.store.uri}/{key}#{name}: {len(data)} bytes, expected {member.size}; truncated")
        return data

    def _index(self, key: str) -> dict[str, Member]:
        if key not in self._indexes:
            self._indexes[key] = _by_name(self.store, key + INDEX_SUFFIX)
        return self._indexes[key]


def read_member(store: Store, path: str) -> bytes:
    """Return one member; to read many, keep a `ShardReader`."""
    return ShardReader(store).read(path)


def _by_name(store: Store, key: str) -> dict[str, Member]:
    try:
        index = TarIndex.read_json(store.get(key))
    except ValidationError as error:
        raise DataError(f"{store.uri}/{key} is no tar index; curate again") from error
    return {member.name: member for member in index.members}
