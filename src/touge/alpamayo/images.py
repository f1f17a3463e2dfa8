"""Frames -> patches of the vision tower, as Qwen3-VL's image processor orders them.

Frames arrive at the model's own input size (the data set stores them so); a frame that the processor would
resize is refused, never resized here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from touge.alpamayo.config import AlpamayoConfig, Json
from touge.contract.errors import DataError


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """How frames become patches.

    Attributes:
        patch: Pixels per patch side.
        temporal: Frames per patch; a still image is repeated.
        merge: Patches merged per side into one token.
        mean: Subtracted from values in 0…1, per channel.
        std: Divisor after that, per channel.
        min_pixels: Smaller frames would be enlarged.
        max_pixels: Larger frames would be reduced.
    """

    patch: int
    temporal: int
    merge: int
    min_pixels: int
    max_pixels: int
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)

    @classmethod
    def of(cls, config: AlpamayoConfig, preprocessor: Json | None = None) -> Self:
        """Read the vision configuration, and mean and deviation from the backbone's `preprocessor_config.json`."""
        vision, stated = config.backbone["vision_config"], preprocessor or {}
        return cls(
            patch=vision["patch_size"],
            temporal=vision["temporal_patch_size"],
            merge=vision["spatial_merge_size"],
            min_pixels=config.min_pixels,
            max_pixels=config.max_pixels,
            mean=tuple(stated.get("image_mean", cls.mean_default())),
            std=tuple(stated.get("image_std", cls.mean_default())),
        )

    @staticmethod
    def mean_default() -> tuple[float, ...]:
        """Qwen3-VL's mean and deviation, https://huggingface.co/Qwen/Qwen3-VL-8B-Instruct."""
        return (0.5, 0.5, 0.5)

    def tokens(self, grid: npt.NDArray[np.int64]) -> int:
        """Return how many tokens an image of this grid takes."""
        return int(grid.prod()) // self.merge**2


def patches(
    frames: Sequence[npt.NDArray[np.uint8]], spec: ImageSpec, name: str = "frames"
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Cut frames into normalised patches.

    Args:
        frames: uint8 [height, width, 3] each.
        spec: Sizes and normalisation.
        name: What the frames belong to, for the message.

    Returns:
        Pixel values [patches, 3 * temporal * patch^2], ordered by merged block, and grids [frames, 3].

    Raises:
        DataError: A frame has another type, or a size that the processor would change.
    """
    wrong = sorted({problem for frame in frames if (problem := _problem(frame, spec))})
    if wrong or not frames:
        raise DataError(f"{name}: {'; '.join(wrong) or 'no frames given'}")
    values = [_patches(frame, spec) for frame in frames]
    grids = [(1, frame.shape[0] // spec.patch, frame.shape[1] // spec.patch) for frame in frames]
    return np.concatenate(values), np.array(grids, np.int64)


def _problem(frame: npt.NDArray[np.uint8], spec: ImageSpec) -> str | None:
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:  # noqa: PLR2004 - colour images
        return f"a frame is {frame.dtype} {frame.shape}, expected uint8 (height, width, 3)"
    height, width, _ = frame.shape
    unit, pixels = spec.patch * spec.merge, height * width
    if height % unit or width % unit or not spec.min_pixels <= pixels <= spec.max_pixels:
        return (
            f"a frame is {width}x{height}; the model takes sides divisible by {unit} and "
            f"{spec.min_pixels} to {spec.max_pixels} pixels; store frames at the model's input size"
        )
    return None


def _patches(frame: npt.NDArray[np.uint8], spec: ImageSpec) -> npt.NDArray[np.float32]:
    p, m = spec.patch, spec.merge
    scaled = (frame.astype(np.float32) / 255 - np.array(spec.mean, np.float32)) / np.array(spec.std, np.float32)
    height, width, channels = scaled.shape
    blocks = scaled.reshape(height // p // m, m, p, width // p // m, m, p, channels)
    ordered = blocks.transpose(0, 3, 1, 4, 6, 2, 5).reshape(-1, channels, 1, p, p)
    return np.repeat(ordered, spec.temporal, axis=2).reshape(len(ordered), -1)
