"""The pictures of a window out of the store: checked against the row, decoded."""

from __future__ import annotations

import hashlib
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from touge.contract.errors import DataError
from touge.contract.recipe import CAMERAS
from touge.contract.sample import ImageRef, Sample
from touge.storage.shards import ShardReader


def encoded(shards: ShardReader, ref: ImageRef) -> bytes:
    """Return one frame as it is stored, JPEG or PNG.

    Raises:
        DataError: If it is missing or not the one that was curated.
    """
    data = shards.read(ref.path)
    if hashlib.sha256(data).hexdigest() != ref.sha256:
        raise DataError(f"{ref.path}: content differs from the row's sha256; the shard was damaged or changed")
    return data


def decoded(shards: ShardReader, sample: Sample) -> tuple[NDArray[np.uint8], ...]:
    """Return a window's frames, uint8 [H, W, 3] RGB, camera by camera in the model's order, oldest first.

    Raises:
        DataError: If there are none, or one is missing or damaged.
    """
    refs = [ref for camera in sample.views for ref in sample.images[camera]]
    if not refs:
        raise DataError(f"{sample.id}: no frames of a known camera; expected some of {', '.join(CAMERAS)}")
    return tuple(_pixels(encoded(shards, ref), ref.path) for ref in refs)


def _pixels(data: bytes, source: str) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{source}: no readable picture ({error}); curate again") from error
