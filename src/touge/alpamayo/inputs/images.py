"""Frames to patches of the vision tower, as Qwen3-VL's image processor orders them.

Frames arrive at the model's own input size (the data set stores them so); a frame that the processor would
resize is refused, never resized here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from touge.alpamayo.config import AlpamayoConfig
from touge.contract.errors import DataError

#: uint8 RGB [height, width, 3].
Frame = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class PatchGrid:
    """How frames become patches.

    Attributes:
        patch: Pixels per patch side.
        temporal: Frames per patch; a still image is repeated.
        merge: Patches merged per side into one token.
        min_pixels: Smaller frames would be enlarged.
        max_pixels: Larger frames would be reduced.
    """

    patch: int
    temporal: int
    merge: int
    min_pixels: int
    max_pixels: int

    @classmethod
    def of(cls, config: AlpamayoConfig) -> Self:
        """Read the vision configuration and the bounds of the input size."""
        vision = config.backbone["vision_config"]
        return cls(
            patch=vision["patch_size"],
            temporal=vision["temporal_patch_size"],
            merge=vision["spatial_merge_size"],
            min_pixels=config.min_pixels,
            max_pixels=config.max_pixels,
        )

    def tokens(self, grid: Tensor) -> list[int]:
        """Return how many tokens each image of grids [images, 3] takes."""
        return [int(count) // self.merge**2 for count in grid.prod(dim=1).tolist()]


def patches(frames: Sequence[Frame], grid: PatchGrid, name: str = "frames") -> tuple[Tensor, Tensor]:
    """Cut frames into patches; `normalised` makes of them what the tower takes, where it computes.

    Args:
        frames: uint8 [height, width, 3] each.
        grid: Sizes.
        name: What the frames belong to, for the message.

    Returns:
        Pixels, uint8 [patches, 3 * patch^2], ordered by merged block, and grids [frames, 3].

    Raises:
        DataError: A frame has another type, or a size that the processor would change.
    """
    wrong = sorted({problem for frame in frames if (problem := _problem(frame, grid))})
    if wrong or not frames:
        raise DataError(f"{name}: {'; '.join(wrong) or 'no frames given'}")
    pixels = np.concatenate([_patches(frame, grid) for frame in frames])
    sizes = [(1, frame.shape[0] // grid.patch, frame.shape[1] // grid.patch) for frame in frames]
    return torch.from_numpy(pixels), torch.tensor(sizes)


def normalised(pixels: Tensor, temporal: int, dtype: torch.dtype) -> Tensor:
    """Return pixels as the tower takes them: in -1…1, a still image repeated over time.

    Mean and deviation are 0.5 (Qwen3-VL's preprocessor_config.json).

    Args:
        pixels: uint8 [patches, 3 * patch^2] of `patches`; others are taken to be normalised.
        temporal: Frames per patch.
        dtype: Of the result [patches, 3 * temporal * patch^2].
    """
    if pixels.dtype != torch.uint8:
        return pixels.to(dtype)
    scaled = (pixels.float() / 127.5 - 1).to(dtype)
    return scaled.unflatten(1, (3, 1, -1)).expand(-1, -1, temporal, -1).flatten(1)


def negative(pixels: Tensor) -> Tensor:
    """Return the pixels of the same pictures with every colour turned into its opposite."""
    return 255 - pixels if pixels.dtype == torch.uint8 else -pixels


def _problem(frame: Frame, grid: PatchGrid) -> str | None:
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        return f"a frame is {frame.dtype} {frame.shape}, expected uint8 (height, width, 3)"
    height, width, _ = frame.shape
    unit = grid.patch * grid.merge
    if height % unit or width % unit or not grid.min_pixels <= height * width <= grid.max_pixels:
        return (
            f"a frame is {width}x{height}; the model takes sides divisible by {unit} and "
            f"{grid.min_pixels} to {grid.max_pixels} pixels. Curate with `curate.image` of this model"
        )
    return None


def _patches(frame: Frame, grid: PatchGrid) -> Frame:
    """Cut one frame into [patches, 3 * patch^2]."""
    p, m = grid.patch, grid.merge
    height, width, channels = frame.shape
    blocks = frame.reshape(height // p // m, m, p, width // p // m, m, p, channels)
    return blocks.transpose(0, 3, 1, 4, 6, 2, 5).reshape(-1, channels * p * p)
