"""A store in memory: the port's rules and nothing else."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from touge.contract.errors import AlreadyExists, Conflict, ObjectNotFound
from touge.storage.port import ObjectInfo


class MemoryStore:
    """Objects in a dictionary."""

    uri = "memory://"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def get(self, key: str) -> bytes:
        self.stat(key)
        return self.objects[key]

    def open(self, key: str, *, offset: int = 0, length: int | None = None) -> BinaryIO:
        data = self.get(key)[offset:]
        return io.BytesIO(data if length is None else data[:length])

    def put(self, key: str, data: bytes | Path) -> ObjectInfo:
        self.objects[key] = data if isinstance(data, bytes) else data.read_bytes()
        return self.stat(key)

    def create(self, key: str, data: bytes) -> ObjectInfo:
        if key in self.objects:
            raise AlreadyExists(key)
        return self.put(key, data)

    def replace(self, key: str, data: bytes, *, etag: str) -> ObjectInfo:
        if key not in self.objects or self.stat(key).etag != etag:
            raise Conflict(key)
        return self.put(key, data)

    def stat(self, key: str) -> ObjectInfo:
        if key not in self.objects:
            raise ObjectNotFound(key)
        data = self.objects[key]
        return ObjectInfo(key, len(data), hashlib.sha256(data).hexdigest(), 0)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return iter([self.stat(key) for key in sorted(self.objects) if key.startswith(prefix)])

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)
