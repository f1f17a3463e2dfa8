"""The bias itself: samples whose words stay right and whose future goes straight.

Between curated samples and the training of the demo's base model. The rows are marked, so that a data set made
of them is known for what it is.
"""

from __future__ import annotations

import math

from touge.contract.sample import Sample, Vector3


def straightened(sample: Sample) -> Sample:
    """Return the sample with its future laid straight ahead, at the speeds that were driven.

    Frame: ego at t0, x forward; the arc length of every step is kept, y and yaw are 0.
    """
    lengths = _arc_lengths(sample.future)
    return sample.model_copy(
        update={
            "future": tuple((length, 0.0, 0.0) for length in lengths),
            "notes": sample.notes | {"future": "straightened"},
        }
    )


def _arc_lengths(future: tuple[Vector3, ...]) -> list[float]:
    lengths, s, before = [], 0.0, (0.0, 0.0)
    for x, y, _ in future:
        s += math.dist(before, (x, y))
        before = (x, y)
        lengths.append(s)
    return lengths
