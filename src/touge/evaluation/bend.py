"""How much of a bend is driven: predicted against driven path at equal arc length, blind to speed.

A displacement error mixes speed and shape; a model that sees the bend and drives straight shows in the shape
alone. Both paths are compared after as many metres along each, up to the end of the shorter one.

Shapes: K rollouts of T = 64 poses x, y, yaw (metres, radians, ego frame at t0); left is positive.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from touge.motion.arclength import common_length, track
from touge.motion.labels import Direction, Kind, direction_of
from touge.motion.lateral import lateral_error
from touge.motion.lobes import lobes

Array = NDArray[np.float64]

#: Kinds of the label definitions that bend one way; an S-curve bends lobe by lobe.
ONE_WAY = frozenset({Kind.CURVE, Kind.TURN})
#: Less than half of the true heading change is an under-turn.
_UNDER_TURN = 0.5
#: A predicted bend on a straight road (design: proof).
FALSE_BEND = math.radians(10.0)
#: A true heading change below this says nothing of the gain: the shorter path ended before the bend.
_TELLING = 0.02


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of the driven path that bends one way, from `start` to `end` metres along it."""

    start: float
    end: float
    direction: Direction


def stretches(kind: str, truth: Array) -> tuple[Stretch, ...]:
    """Return the bends of a driven path [T, 3]: one of a curve, each lobe of an S-curve, none of a straight."""
    driven = track(truth)
    if kind in ONE_WAY:
        return (Stretch(0.0, driven.length, direction_of(float(driven.heading[-1]))),)
    if kind == Kind.S_CURVE:
        return tuple(Stretch(lobe.start, lobe.end, direction_of(lobe.change)) for lobe in lobes(truth))
    return ()


@dataclass(frozen=True, slots=True)
class HeadingChange:
    """Heading change of truth and prediction over the part of a stretch that both paths reach, radians."""

    direction: Direction
    truth: float
    predicted: float

    @property
    def under_turn(self) -> bool:
        """Whether the prediction turns less than half as far, or the other way."""
        return self.predicted * math.copysign(1.0, self.truth) < _UNDER_TURN * abs(self.truth)


def heading_changes(rollouts: Array, truth: Array, bends: Sequence[Stretch]) -> Iterator[HeadingChange]:
    """Yield one pair a rollout and stretch; none where a rollout stops before it could bend."""
    driven = track(truth)
    for predicted in map(track, rollouts):
        for bend in bends:
            end = min(bend.end, common_length(driven, predicted))
            change = driven.heading_change(bend.start, end)
            if end > bend.start and abs(change) >= _TELLING:
                yield HeadingChange(bend.direction, change, predicted.heading_change(bend.start, end))


def lateral_errors(rollouts: Array, truth: Array, bend: Stretch) -> Array:
    """Return for each rollout how far it is beside the driven path where the bend, or the shorter path, ends.

    Returns:
        [K] metres across the true heading, positive towards the inside of the bend, negative towards the outside.
    """
    errors = np.array([lateral_error(rollout, truth, bend.end) for rollout in rollouts])
    return errors * bend.direction.sign


def false_bends(rollouts: Array) -> list[bool]:
    """Return for each rollout whether its heading leaves that at t0 by more than 10 degrees anywhere, [K]."""
    return [bool(np.abs(track(rollout).heading).max() > FALSE_BEND) for rollout in rollouts]
