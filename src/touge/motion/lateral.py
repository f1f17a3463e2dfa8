"""How far to the side: against another path at equal arc length, or against the path that the road would ask for.

Used by evaluation (signed error towards the inside of a bend) and by consistency (nudges, lane changes). No map:
what the road asks for is guessed from the heading, and whoever uses it marks the result approximate.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from touge.motion.arclength import Floats, common_length, profile, track

#: Where a fitted bend may begin and end, in parts of the path.
_GRID = np.linspace(0.0, 1.0, 41)
#: Shortest fitted bend, as a part of the path: a shorter one would pass a quick lane change off as road.
_SHORTEST = 0.3


def lateral_error(predicted: npt.ArrayLike, true: npt.ArrayLike, s: float | None = None) -> float:
    """Return how far the predicted path lies beside the true one after equal arc length, metres, left positive.

    Args:
        predicted: [T, 3].
        true: [T, 3].
        s: Arc length of the comparison, metres; the end of the shorter path if None or if that comes sooner.
    """
    path, truth = track(predicted), track(true)
    reach = common_length(path, truth)
    at = reach if s is None else min(s, reach)
    heading = float(truth.heading_at(at))
    dx, dy = path.position_at(at) - truth.position_at(at)
    return float(dy * np.cos(heading) - dx * np.sin(heading))


def error_towards_inside(predicted: npt.ArrayLike, true: npt.ArrayLike, s: float | None = None) -> float:
    """Return `lateral_error` with the sign of the bend: positive towards its inside, negative towards its outside.

    The bend's side is the sign of the true heading change up to `s`; 0 on a path without one.
    """
    truth = track(true)
    at = min(truth.length, track(predicted).length) if s is None else s
    return lateral_error(predicted, true, s) * float(np.sign(truth.heading_at(at)))


def compensated_offset(trajectory: npt.ArrayLike) -> float:
    """Return the largest offset from the path that follows the road's curvature, metres, left positive; approximate.

    The road is taken to run straight, bend once with constant curvature, and run straight, with the heading change
    that the trajectory has in all: the one that fits its heading best. A lane change or a nudge leaves the heading
    as it was, so it stays in the rest, whose integral over arc length is the offset. On a bend of several tenths of a
    radian a bend that comes some metres later looks the same as an offset: there it says little below 1 m.
    """
    path = profile(track(trajectory))
    rest = path.heading - _one_bend(path.heading)
    steps = np.diff(path.s) * (rest[1:] + rest[:-1]) / 2
    offset = np.concatenate([[0.0], np.cumsum(steps)])
    return float(offset[np.abs(offset).argmax()])


def _one_bend(heading: Floats) -> Floats:
    """Return the heading of the best fitting road, [M]."""
    along = np.linspace(0.0, 1.0, len(heading))
    starts, ends = np.meshgrid(_GRID, _GRID, indexing="ij")
    allowed = ends - starts >= _SHORTEST - 1e-9
    start, end = starts[allowed][:, None], ends[allowed][:, None]
    candidates = heading[-1] * np.clip((along - start) / (end - start), 0.0, 1.0)
    best = int(((candidates - heading) ** 2).sum(axis=1).argmin())
    road: Floats = candidates[best]
    return road
