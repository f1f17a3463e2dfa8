"""Which windows a person should look at: chosen by rule, so that nobody picks the pretty ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from touge.evaluation.windows import Windows

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pick:
    """A window of the gallery and why it is there."""

    index: int
    why: str


def choose(windows: Windows, base: Array, tuned: Array) -> tuple[Pick, ...]:
    """Return, of left and right curves and of straights, the best, the median and the worst change.

    Args:
        windows: All scored windows.
        base: [N] error of the base, metres.
        tuned: [N] error of the tuned model, metres.
    """
    buckets = windows.buckets()
    groups = {"left curve": "curve_left", "right curve": "curve_right", "straight": "straight"}
    picks: list[Pick] = []
    for name, bucket in groups.items():
        members = np.flatnonzero(buckets.get(bucket, np.zeros(len(base), dtype=bool)))
        picks += _of_group(name, members[np.argsort((tuned - base)[members], kind="stable")])
    return tuple(picks)


def _of_group(name: str, by_change: NDArray[np.int64]) -> list[Pick]:
    """Return picks from windows that are sorted from the most improved to the least."""
    if not len(by_change):
        return []
    places = {"most improved": 0, "median": len(by_change) // 2, "least improved": len(by_change) - 1}
    chosen: dict[int, str] = {}
    for why, place in places.items():
        chosen.setdefault(int(by_change[place]), f"{name}, {why}")
    return [Pick(index, why) for index, why in chosen.items()]
