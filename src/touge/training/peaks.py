"""How much GPU memory a step of each setting was measured to take, so that advice can say what would fit.

A row is what `benchmarks/training.py` printed as a step's peak on one GPU at full size. A setting without a row has not
been measured, and nothing is said of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from touge.contract.recipe import Train


class Setting(NamedTuple):
    """What a step's memory depends on most; frames of a camera are always four."""

    method: str
    batch_size: int
    flow_draws: int
    cameras: int


#: Peak GiB of one GPU that holds the whole model.
PEAKS: Mapping[Setting, float] = {}


def peak_gib(settings: Train, cameras: int, peaks: Mapping[Setting, float] = PEAKS) -> float | None:
    """Return the measured peak of a training's step, GiB, or None where none was measured."""
    return peaks.get(Setting(settings.method, settings.batch_size, settings.flow_draws, cameras))
