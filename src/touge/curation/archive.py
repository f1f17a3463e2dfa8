"""Frames into tars of bounded size, each with its index beside it, so that memory and scratch space stay flat.

Between pictures and the store. A tar is handed over and removed as soon as it is full.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from touge.storage.shards import INDEX_SUFFIX, TarIndex

#: Bytes of one tar: large enough for sequential reads from S3, small enough to lie on any scratch disk (data
#: anchors: 100 MB to 1 GB).
LIMIT = 256 << 20


@dataclass
class Archive:
    """Writes `images-00000.tar`, `images-00001.tar`, … and their indexes.

    Attributes:
        folder: Scratch.
        publish: Takes each finished file away.
        limit: Bytes of frames behind which the next tar begins.
    """

    folder: Path
    publish: Callable[[Path], None]
    limit: int = LIMIT
    frames: int = 0
    _number: int = 0
    _size: int = 0
    _tar: tarfile.TarFile | None = field(default=None, init=False)

    def add(self, name: str, data: bytes) -> str:
        """Store a frame; return its path, `images-NNNNN.tar#name`."""
        if self._tar is not None and self._size + len(data) > self.limit:
            self._finish()
        if self._tar is None:
            self._tar = tarfile.open(self._path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed when full
        member = tarfile.TarInfo(name)  # time, owner and mode are constants: equal frames, equal tars
        member.size = len(data)
        self._tar.addfile(member, io.BytesIO(data))
        self._size += len(data)
        self.frames += 1
        return f"{self._path.name}#{name}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Publish the last tar; what an error has left half-written is removed."""
        if kind is None:
            self._finish()
        elif self._tar is not None:
            self._tar.close()
            self._path.unlink(missing_ok=True)

    @property
    def _path(self) -> Path:
        return self.folder / f"images-{self._number:05d}.tar"

    def _finish(self) -> None:
        if self._tar is None:
            return
        self._tar.close()
        index = self._path.with_name(self._path.name + INDEX_SUFFIX)
        index.write_text(TarIndex.of(self._path).to_json(), encoding="utf-8")
        for path in (self._path, index):
            self.publish(path)
            path.unlink()
        self._tar, self._size, self._number = None, 0, self._number + 1
