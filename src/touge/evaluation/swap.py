"""The swap test: does the trajectory follow the words? Left and right change places in the reasoning, nothing else.

The window, the starting noise and the rest of the text stay. How far the heading then moves towards the new words
is compared with how far it moves by itself when the same window is sampled again (the jitter floor): words that
move it no farther than that are not a cause.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from touge.contract.prediction import Prediction, Rollout
from touge.evaluation.consistency import claimed_direction
from touge.evaluation.statistics import Interval, ratio
from touge.evaluation.summary import Summary
from touge.evaluation.windows import Windows
from touge.motion.arclength import common_length, track


def swap_test(
    windows: Windows,
    original: Mapping[str, Prediction],
    driven: Mapping[str, Prediction],
    summary: Summary,
) -> dict[str, Any]:
    """Return how far swapped words move the heading, degrees, beside the jitter of sampling again.

    Args:
        windows: All scored windows.
        original: The model's rollouts, by sample id.
        driven: Its one rollout from swapped words, by sample id, for the windows where there is one.
        summary: How windows are resampled.

    Returns:
        `windows`, `shift_deg` (towards the side that the new words name; negative is away from it), `jitter_deg`,
        and `causal`: whether the shift is beyond the jitter, interval and all.
    """
    pairs = [
        _pair(original[sample.id], driven[sample.id]) if sample.id in driven else None for sample in windows.samples
    ]
    shift = _estimate([pair and pair[0] for pair in pairs], summary)
    jitter = _estimate([pair and pair[1] for pair in pairs], summary)
    return {
        "windows": sum(pair is not None for pair in pairs),
        "shift_deg": shift and shift.as_json(),
        "jitter_deg": jitter and jitter.as_json(),
        "causal": None if not (shift and jitter and shift.low is not None) else shift.low > jitter.value,
    }


def _pair(original: Prediction, driven: Prediction) -> tuple[float, float | None] | None:
    """Return the shift towards the new words and the jitter, degrees; nothing where no side is claimed."""
    first, *others = original.rollouts
    side = claimed_direction(first.reasoning)
    if side is None:
        return None
    shift = -side.sign * _heading_difference(driven.rollouts[0], first)
    jitter = [abs(_heading_difference(other, first)) for other in others]
    return shift, (sum(jitter) / len(jitter) if jitter else None)


def _heading_difference(one: Rollout, other: Rollout) -> float:
    """Return by how many degrees one rollout turns farther left than another over the same arc length."""
    paths = [track(rollout.trajectory) for rollout in (one, other)]
    end = common_length(*paths)
    return float(np.degrees(paths[0].heading_change(0.0, end) - paths[1].heading_change(0.0, end)))


def _estimate(values: Sequence[float | None], summary: Summary) -> Interval | None:
    terms: NDArray[np.float64] = np.array([(0.0, 0.0) if value is None else (value, 1.0) for value in values])
    return summary.estimate(terms, np.full(len(values), fill_value=True), ratio)
