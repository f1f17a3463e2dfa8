"""Camera frames at the model's own input size, as JPEG. Pinned, so that equal frames give equal bytes.

The size rule is that of Qwen's image processor (`smart_resize`): multiples of patch 16 x merge 2 = 32 pixels,
within bounds on the number of pixels, the aspect ratio kept as near as that allows. So is the kernel: bicubic
(preprocessor_config.json, `resample: 3`), with Pillow's antialiasing. The processor then has nothing left to do.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from touge.contract.errors import DataError
from touge.contract.recipe import Image as Bounds
from touge.contract.sample import CameraModel

Frame = npt.NDArray[np.uint8]

#: Side of what becomes one token: patch size 16 x spatial merge 2 (Qwen3-VL preprocessor_config.json).
UNIT = 32
QUALITY = 92
#: What frames are stored as, and so what brought ones may be.
_FORMATS = ("JPEG", "PNG")
#: How Pillow says that a picture is damaged: a format that it does not know is an OSError, a bad chunk any of them.
_DAMAGE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
#: Side of the blocks whose mean brightness tells frames apart: large enough that sensor noise averages out.
_BLOCK = 16
#: A frame whose brightest block is darker than this (of 255) shows nothing: a lens cap, a lost signal.
BLACK = 8.0
#: Frames whose blocks all differ by less than this (of 255) show one moment: noise and coding stay below it.
FROZEN = 2.0


@dataclass(frozen=True, eq=False)
class Picture:
    """One frame at the model's input size.

    Attributes:
        pixels: RGB [H, W, 3].
        untouched: Whether it had that size already.
    """

    pixels: Frame
    untouched: bool

    @classmethod
    def of(cls, frame: Frame, bounds: Bounds) -> Picture:
        """Resize a frame; one that has the size already is taken as it is."""
        height, width = input_size(frame.shape[0], frame.shape[1], bounds)
        if (height, width) == frame.shape[:2]:
            return cls(frame, untouched=True)
        resized = Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC)
        return cls(np.asarray(resized), untouched=False)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @cached_property
    def jpeg(self) -> bytes:
        """JPEG of quality 92 with full-size colour."""
        out = io.BytesIO()
        Image.fromarray(self.pixels).save(out, "JPEG", quality=QUALITY, subsampling=0)
        return out.getvalue()

    @property
    def is_black(self) -> bool:
        """Whether it shows nothing."""
        return bool(self._blocks.max() < BLACK)

    def shows_the_same_as(self, other: Picture) -> bool:
        """Whether nothing has moved between the two, so that one of them is stale."""
        same_size = self._blocks.shape == other._blocks.shape
        return same_size and bool(np.abs(self._blocks - other._blocks).max() < FROZEN)

    @cached_property
    def _blocks(self) -> npt.NDArray[np.float64]:
        """Return the mean brightness of each block."""
        height, width = (side - side % _BLOCK for side in self.pixels.shape[:2])
        blocks = self.pixels[:height, :width].reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK, 3)
        return np.asarray(blocks.mean(axis=(1, 3, 4)))


def input_size(height: int, width: int, bounds: Bounds) -> tuple[int, int]:
    """Return (height, width) at which the model takes a frame; 1080p becomes 320 x 576.

    Raises:
        DataError: If the rule misses its own bounds, so that the processor would resize again: the bounds are too
            close together for this aspect ratio (the release's: beyond 7.6 to 1).
    """
    high, wide = (max(UNIT, round(side / UNIT) * UNIT) for side in (height, width))
    if high * wide > bounds.max_pixels:
        shrink = math.sqrt(height * width / bounds.max_pixels)
        high, wide = (max(UNIT, math.floor(side / shrink / UNIT) * UNIT) for side in (height, width))
    elif high * wide < bounds.min_pixels:
        grow = math.sqrt(bounds.min_pixels / (height * width))
        high, wide = (math.ceil(side * grow / UNIT) * UNIT for side in (height, width))
    if not bounds.min_pixels <= high * wide <= bounds.max_pixels:
        raise DataError(
            f"a frame of {width}x{height} becomes {wide}x{high}, and curate.image wants {bounds.min_pixels} to "
            f"{bounds.max_pixels} pixels: crop the frames to another aspect ratio, or leave the camera out"
        )
    return high, wide


def decoded(data: bytes, source: str) -> Frame:
    """Return a JPEG or PNG as RGB [H, W, 3].

    Raises:
        DataError: If it is damaged or no picture at all.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            return np.asarray(image.convert("RGB"))
    except _DAMAGE as error:
        detail = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
        raise DataError(
            f"{source}: no readable JPEG or PNG{detail}; write the frame again or leave the row out"
        ) from error


def resized_model(model: CameraModel, width: int, height: int) -> CameraModel:
    """Return the camera's geometry for frames of another size.

    Exact for a pinhole. The f-theta polynomials speak of one radius for both axes: where the aspect ratio changes
    (1080p to 576 x 320: 1.2%) they are scaled by the geometric mean.

    Args:
        model: As the source declares it.
        width: Of the stored frames, pixels.
        height: Of the stored frames, pixels.
    """
    across, down = width / model.width, height / model.height
    if (across, down) == (1.0, 1.0):
        return model
    intrinsics = {name: _rescaled(name, value, across, down) for name, value in model.intrinsics.items()}
    return model.model_copy(update={"intrinsics": intrinsics, "width": width, "height": height})


def _rescaled(name: str, value: float, across: float, down: float) -> float:
    """Return one intrinsic parameter at another size; pixel centres lie at whole numbers."""
    if name in {"fx", "fy"}:
        return value * (across if name == "fx" else down)
    if name in {"cx", "cy"}:
        return (value + 0.5) * (across if name == "cx" else down) - 0.5
    radius = math.sqrt(across * down)
    if name.startswith("fw_poly_"):
        return value * radius
    if name.startswith("bw_poly_"):
        return value / radius ** int(name.removeprefix("bw_poly_"))
    return value
