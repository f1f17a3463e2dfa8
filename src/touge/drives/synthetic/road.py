"""Road geometry: straights, clothoids and arcs at Japanese design radii become a sampled centreline.

First step of the synthetic world. Pure: seeded choice of pieces in, arrays out. Knows nothing of
lanes' paint, vehicles or pictures.

Frame: x, y in metres, yaw anticlockwise from x; curvature positive to the left; `d` is the lateral
offset from the centreline, left positive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from touge.drives.drive import Floats

#: Minimum curve radius and transition (clothoid) length in metres by design speed in km/h:
#: Road Structure Ordinance (Japan, 1970), articles 15 and 18.
DESIGN = {20: (15, 20), 30: (30, 25), 40: (60, 35), 50: (100, 40), 60: (150, 50), 80: (280, 70), 100: (460, 85)}

#: Distance of centreline samples, metres. At R = 15 m the chord stays within 2 mm of the arc.
STEP_M = 0.5
#: A road that follows a log is smoothed by a Gaussian of this width, so that GNSS noise does not bend it; metres.
_SMOOTH_M = 2.0


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch over which curvature changes linearly: straight, arc or clothoid."""

    length: float
    kappa_start: float
    kappa_end: float


@dataclass(frozen=True, slots=True, eq=False)
class Centreline:
    """A road's centreline, sampled every `STEP_M` metres of arc length.

    Attributes:
        xy: [N, 2] metres.
        yaw: [N] radians, unwrapped.
        kappa: [N] 1/m, left positive.
    """

    xy: Floats
    yaw: Floats
    kappa: Floats

    @property
    def s(self) -> Floats:
        """Arc length of each sample, [N] metres."""
        return np.arange(len(self.yaw), dtype=np.float64) * STEP_M

    @property
    def length(self) -> float:
        """Arc length of the whole, metres."""
        return (len(self.yaw) - 1) * STEP_M

    def reversed(self) -> Centreline:
        """Return the same road driven the other way."""
        return Centreline(self.xy[::-1], self.yaw[::-1] + math.pi, -self.kappa[::-1])

    def at(self, s: Floats, d: Floats) -> Floats:
        """Return the points at arc length `s` and offset `d`, [N, 2] metres."""
        x, y, yaw = (np.interp(s, self.s, column) for column in (*self.xy.T, self.yaw))
        return np.column_stack([x - d * np.sin(yaw), y + d * np.cos(yaw)])


def straight(length: float) -> list[Piece]:
    """Return a straight of `length` metres."""
    return [Piece(length, 0.0, 0.0)]


def bend(radius: float, angle: float, *, transition: float | None = None) -> list[Piece]:
    """Return clothoid, arc, clothoid.

    Args:
        radius: Metres.
        angle: Heading change of the whole, radians, left positive.
        transition: Length of each clothoid, metres; by the ordinance if not given. Shorter where
            the angle is too small for it.
    """
    total = abs(angle) * radius  # two clothoids turn as much as one arc of their length
    clothoid = min(design_transition(radius) if transition is None else transition, total)
    kappa = math.copysign(1 / radius, angle)
    return [Piece(clothoid, 0.0, kappa), Piece(total - clothoid, kappa, kappa), Piece(clothoid, kappa, 0.0)]


def design_transition(radius: float) -> float:
    """Return the clothoid length for a radius, interpolated between the ordinance's steps."""
    radii, lengths = zip(*DESIGN.values(), strict=True)
    return float(np.interp(math.log(radius), np.log(radii), lengths))


def centreline(pieces: list[Piece]) -> Centreline:
    """Integrate curvature to yaw and position, from the origin, along x."""
    ends = np.cumsum([0.0, *(piece.length for piece in pieces)])
    s = np.arange(0.0, ends[-1], STEP_M)
    which = np.clip(np.searchsorted(ends, s, side="right") - 1, 0, len(pieces) - 1)
    length, first, last = np.array([(max(p.length, 1e-9), p.kappa_start, p.kappa_end) for p in pieces])[which].T
    kappa = first + (last - first) * (s - ends[which]) / length
    yaw = np.concatenate([[0.0], np.cumsum((kappa[1:] + kappa[:-1]) / 2 * STEP_M)])
    middle = (yaw[1:] + yaw[:-1]) / 2
    steps = np.column_stack([np.cos(middle), np.sin(middle)]) * STEP_M
    return Centreline(np.vstack([np.zeros((1, 2)), np.cumsum(steps, axis=0)]), yaw, kappa)


def along_path(xy: Floats, offset: float) -> tuple[Centreline, Floats]:
    """Return the road whose lane a vehicle drove, and where on it the vehicle was.

    Args:
        xy: [N, 2] driven positions, metres; standstill and sensor noise are allowed.
        offset: Where the vehicle is from the centreline, metres, left positive.

    Returns:
        The centreline, and the arc length along it of each position, [N] metres.
    """
    first = _spaced(xy)
    corners = xy[first] if len(first) > 1 else np.vstack([xy[0], xy[0] + [10.0, 0.0]])
    travelled = _arc_length(corners)
    driven = _smoothed(_resampled(corners))
    yaw = _course(driven)
    centre = driven - offset * np.column_stack([-np.sin(yaw), np.cos(yaw)])
    along = np.interp(travelled, np.arange(len(centre)) * STEP_M, _arc_length(centre))
    line = _resampled(centre)
    yaw = _course(line)
    kept = np.searchsorted(first, np.arange(len(xy)), side="right") - 1
    return Centreline(line, yaw, np.gradient(yaw, STEP_M)), along[kept]


def extended(road: Centreline, before: float, after: float) -> Centreline:
    """Return the road with straights added at both ends, metres."""
    head, tail = int(before / STEP_M), int(after / STEP_M)
    start, end = road.xy[0], road.xy[-1]
    first, last = (np.array([math.cos(yaw), math.sin(yaw)]) for yaw in (road.yaw[0], road.yaw[-1]))
    backward = start - np.arange(head, 0, -1)[:, None] * STEP_M * first
    forward = end + np.arange(1, tail + 1)[:, None] * STEP_M * last
    return Centreline(
        np.vstack([backward, road.xy, forward]),
        np.pad(road.yaw, (head, tail), mode="edge"),
        np.pad(road.kappa, (head, tail)),
    )


def _spaced(xy: Floats) -> np.ndarray:
    """Return the positions at least 1 m from the one kept before: noise at a stop does not become a road."""
    kept = [0]
    for index in range(1, len(xy)):
        if math.dist(xy[index], xy[kept[-1]]) >= 1:
            kept.append(index)
    return np.array(kept)


def _arc_length(xy: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])


def _resampled(xy: Floats) -> Floats:
    s = _arc_length(xy)
    even = np.arange(0.0, s[-1] + 1e-9, STEP_M)
    return np.column_stack([np.interp(even, s, column) for column in xy.T])


def _smoothed(xy: Floats) -> Floats:
    """Return the line without GNSS noise; reflected through its ends, so that they stay in place."""
    margin = min(len(xy) - 1, int(4 * _SMOOTH_M / STEP_M))
    padded = np.pad(xy, ((margin, margin), (0, 0)), mode="reflect", reflect_type="odd")
    smooth: Floats = gaussian_filter1d(padded, _SMOOTH_M / STEP_M, axis=0)[margin : margin + len(xy)]
    return smooth


def _course(xy: Floats) -> Floats:
    dx, dy = np.gradient(xy, axis=0).T
    return np.unwrap(np.arctan2(dy, dx))
