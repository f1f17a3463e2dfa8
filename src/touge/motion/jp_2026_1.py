"""Label definition `jp-2026.1`: curves as Japanese roads are built, by radius band, S-curves included.

Every number is part of the definition: a change makes a new name. It uses the future alone, so an intersection
and a hairpin, or a lane change and a gentle S, are told apart only as far as ego motion can.

What noise does: 0.02 rad, independent at each pose, is 0.006 1/m of curvature behind a window of 5 m. Kind and
direction of what bends survive it; a radius band above some 60 m does not, and a straight reads `ambiguous`, the more
the faster. A slow drift of that size (a filtered localisation) leaves bands alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from touge.contract.sample import Label
from touge.motion.arclength import Profile, profile, track
from touge.motion.labels import NO_BAND, Direction, Floats, Kind, direction_of, radius_band
from touge.motion.lobes import Lobe, largest, lobes_of

STOP_PATH = 10.0
TURN_RADIUS = 25.0
TURN_HEADING = 1.0
TURN_SPEED = 8.0
LANE_CHANGE_HEADING = 0.1
LANE_CHANGE_LOBE = 0.03
LANE_CHANGE_LATERAL = (2.5, 4.5)
LANE_CHANGE_PATH = 30.0
CURVE_RADIUS = 460.0
CURVE_RANGE = 0.10
S_CURVE_LOBE = 0.07
STRAIGHT_RANGE = 0.05
#: |kappa| above this belongs to a turn when its speed is averaged, 1/m.
TURN_CURVATURE = 1 / 25
_UNBANDED = frozenset({Kind.STOP, Kind.STRAIGHT, Kind.AMBIGUOUS})


@dataclass(frozen=True, slots=True)
class Quantities:
    """What the rules look at.

    Attributes:
        path: Arc length, metres.
        radius: 1 / 90th percentile of |kappa| over arc length, metres; infinite on a straight line.
        end: Heading at the end, radians.
        range: Largest less smallest heading, radians.
        lateral: y of the last pose, metres.
        turn_speed: Mean speed where |kappa| > 1/25, m/s; infinite where it never is.
        lobes: Runs of one sign of curvature.
    """

    path: float
    radius: float
    end: float
    range: float
    lateral: float
    turn_speed: float
    lobes: tuple[Lobe, ...]

    @classmethod
    def of(cls, future: npt.ArrayLike) -> Quantities:
        """Measure a future [T, 3]."""
        path = track(future)
        bend = profile(path)
        kappa90 = float(np.percentile(np.abs(bend.curvature), 90))
        return cls(
            path=path.length,
            radius=1.0 / kappa90 if kappa90 > 0.0 else math.inf,
            end=float(bend.heading[-1]),
            range=float(np.ptp(bend.heading)),
            lateral=float(path.xy[-1, 1]),
            turn_speed=_turn_speed(bend),
            lobes=lobes_of(bend),
        )

    def both_ways(self, smallest: float) -> bool:
        """Whether the path bends to both sides, by at least so many radians in the largest lobe of each."""
        return min(largest(self.lobes, 1), largest(self.lobes, -1)) >= smallest


class Jp20261:
    """The definition as an implementation of `LabelDefinition`."""

    name = "jp-2026.1"

    def label(self, future: Floats) -> Label:
        """Return the label of a future [64, 3]."""
        measured = Quantities.of(future)
        kind = kind_of(measured)
        return Label(
            config=self.name,
            kind=kind.value,
            direction=_direction(kind, measured).value,
            radius_band=NO_BAND if kind in _UNBANDED else radius_band(measured.radius),
        )


def kind_of(q: Quantities) -> Kind:
    """Return the first kind whose rule holds."""
    rules = {
        Kind.STOP: q.path < STOP_PATH,
        Kind.TURN: q.radius < TURN_RADIUS and abs(q.end) >= TURN_HEADING and q.turn_speed < TURN_SPEED,
        Kind.LANE_CHANGE: _is_lane_change(q),
        Kind.S_CURVE: q.radius <= CURVE_RADIUS and q.both_ways(S_CURVE_LOBE),
        Kind.CURVE: q.radius <= CURVE_RADIUS and q.range >= CURVE_RANGE,
        Kind.STRAIGHT: q.range < STRAIGHT_RANGE,
    }
    return next((kind for kind, holds in rules.items() if holds), Kind.AMBIGUOUS)


def _is_lane_change(q: Quantities) -> bool:
    low, high = LANE_CHANGE_LATERAL
    return (
        abs(q.end) < LANE_CHANGE_HEADING
        and q.both_ways(LANE_CHANGE_LOBE)
        and low <= abs(q.lateral) <= high
        and q.path >= LANE_CHANGE_PATH
    )


def _direction(kind: Kind, q: Quantities) -> Direction:
    match kind:
        case Kind.CURVE | Kind.TURN:
            return direction_of(q.end)
        case Kind.S_CURVE:
            return direction_of(q.lobes[0].change)
        case Kind.LANE_CHANGE:
            return direction_of(q.lateral)
    return Direction.NONE


def _turn_speed(bend: Profile) -> float:
    tight = np.abs(bend.curvature) > TURN_CURVATURE
    return float(bend.speed[tight].mean()) if tight.any() else math.inf
