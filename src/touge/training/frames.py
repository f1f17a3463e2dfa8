"""The pictures of a sample: found in the store, checked, decoded, and kept while memory lasts."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, UnidentifiedImageError

from touge.alpamayo.inputs.images import Frame
from touge.contract.errors import DataError
from touge.contract.recipe import CAMERAS
from touge.contract.sample import ImageRef, Sample
from touge.storage.shards import ShardReader

#: Decoded frames kept in memory: all of a laptop's data set, a vanishing part of a large one.
KEPT_BYTES = 1 << 30


@dataclass(slots=True)
class FrameSource:
    """Decodes the frames of samples; safe to share between threads.

    What is decoded first is kept until `kept_bytes` are used: where every sample comes once an epoch, the newest is
    no better to keep than the oldest.
    """

    shards: ShardReader
    kept_bytes: int = KEPT_BYTES
    _kept: dict[str, tuple[Frame, ...]] = field(default_factory=dict)
    _used: int = 0

    def frames(self, sample_id: str, read: Callable[[], Sample]) -> tuple[Frame, ...]:
        """Return a sample's frames; `read` gives its row where they are not kept yet.

        Returns:
            uint8 [H, W, 3] RGB, camera by camera in the model's order, oldest first.

        Raises:
            DataError: If a frame is missing, damaged or not the one that was curated.
        """
        if (kept := self._kept.get(sample_id)) is not None:
            return kept
        frames = self._read(read())
        size = sum(frame.nbytes for frame in frames)
        if self._used + size <= self.kept_bytes:
            self._kept[sample_id] = frames
            self._used += size
        return frames

    def _read(self, sample: Sample) -> tuple[Frame, ...]:
        refs = [ref for camera in sample.views for ref in sample.images[camera]]
        if not refs:
            raise DataError(f"{sample.id}: no frames of a known camera; expected some of {', '.join(CAMERAS)}")
        return tuple(self._decode(ref) for ref in refs)

    def _decode(self, ref: ImageRef) -> Frame:
        data = self.shards.read(ref.path)
        if hashlib.sha256(data).hexdigest() != ref.sha256:
            raise DataError(f"{ref.path}: content differs from the row's sha256; the shard was damaged or changed")
        try:
            with Image.open(io.BytesIO(data)) as image:
                return np.array(image.convert("RGB"))
        except (UnidentifiedImageError, OSError) as error:
            raise DataError(f"{ref.path}: no readable picture ({error}); curate again") from error
