"""Training pictures in another light: exposure and sensor differ from drive to drive, the road does not.

Colours change, places never: nothing mirrors, turns or moves, for left must stay left. From (seed, step, sample id)
alone, so that a resumed training sees the same pictures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from touge.alpamayo.inputs.images import Frame
from touge.contract.recipe import Augmentation
from touge.contract.sample import FRAMES
from touge.training.draws import stream


@dataclass(frozen=True, slots=True)
class Light:
    """The light of one step.

    Attributes:
        ranges: What may change, and by how much.
        seed: Of the training.
        step: Optimiser step, from 0.
    """

    ranges: Augmentation
    seed: int
    step: int

    def on(self, sample: str, frames: Sequence[Frame]) -> tuple[Frame, ...]:
        """Return a sample's frames, uint8 [H, W, 3], camera by camera: the frames of one camera change alike."""
        dice = stream(self.seed, self.step, f"{sample}/light")
        cameras = (frames[first : first + FRAMES] for first in range(0, len(frames), FRAMES))
        return tuple(frame for camera in cameras for frame in self._on_camera(camera, dice))

    def _on_camera(self, frames: Sequence[Frame], dice: np.random.Generator) -> list[Frame]:
        ranges = self.ranges
        curve = tone_curve(
            brightness=dice.uniform(-1, 1) * ranges.brightness,
            contrast=1 + dice.uniform(-1, 1) * ranges.contrast,
            gamma=math.exp(dice.uniform(-1, 1) * math.log1p(ranges.gamma)),
        )
        lit = [curve[frame] for frame in frames]
        if not ranges.noise:
            return lit
        grain = np.rint(255 * ranges.noise * dice.standard_normal(frames[0].shape, np.float32)).astype(np.int16)
        return [np.clip(frame + grain, 0, 255).astype(np.uint8) for frame in lit]


def tone_curve(brightness: float, contrast: float, gamma: float) -> Frame:
    """Return what each of 256 levels becomes: contrast (v^gamma - 1/2) + 1/2 + brightness, v of full scale."""
    level = np.linspace(0, 1, 256) ** gamma
    return np.clip(np.rint(255 * (contrast * (level - 0.5) + 0.5 + brightness)), 0, 255).astype(np.uint8)
