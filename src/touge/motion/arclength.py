"""A trajectory over arc length instead of time: what bends, and where, whatever the speed.

First station of everything that asks about shape (features, labels, lobes, curvature gain). It never looks at
more than one trajectory's poses and knows no thresholds but the two of the heading's definition.

Shapes: T = 64 poses, T+1 with the origin, M = samples about 1 m apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from touge.contract.sample import STEP_S

Floats = npt.NDArray[np.float64]

#: Below this speed a heading is noise and is held, m/s (definition jp-2026.1, Quantities).
MOVING = 1.0
#: Distance of two samples of a profile, metres (definition jp-2026.1, Quantities).
SPACING = 1.0
#: Length of the smoothing window, metres (definition jp-2026.1, Quantities).
WINDOW = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """A trajectory with the origin as its first point, by arc length.

    Attributes:
        s: [T+1] arc length, metres.
        xy: [T+1, 2] positions, metres.
        heading: [T+1] unwrapped yaw, 0 at the origin, held below 1 m/s; radians.
        speed: [T+1] speed of the step that ends at the point, that of the first step at the origin; m/s.
    """

    s: Floats
    xy: Floats
    heading: Floats
    speed: Floats

    @property
    def length(self) -> float:
        """Metres driven."""
        return float(self.s[-1])

    def heading_at(self, s: Floats | float) -> Floats:
        """Return the heading after s metres, radians; the last one beyond the end."""
        return np.asarray(np.interp(s, self.s, self.heading))

    def position_at(self, s: Floats | float) -> Floats:
        """Return the position [..., 2] after s metres; the last one beyond the end."""
        return np.stack([np.interp(s, self.s, self.xy[:, axis]) for axis in (0, 1)], axis=-1)

    def heading_change(self, start: float, end: float) -> float:
        """Return by how much the heading changes between two arc lengths, radians, left positive."""
        return float(self.heading_at(end) - self.heading_at(start))


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Heading and curvature, resampled to 1 m and smoothed over 5 m.

    Attributes:
        s: [M] evenly spaced arc length, metres.
        heading: [M] smoothed heading, radians, 0 at the origin.
        curvature: [M] d heading / d s, 1/m, left positive.
        speed: [M] m/s.
    """

    s: Floats
    heading: Floats
    curvature: Floats
    speed: Floats


def track(trajectory: npt.ArrayLike) -> Track:
    """Return a trajectory [T, 3] by arc length.

    Raises:
        ValueError: If the shape is not [T, 3] with T >= 1 or a value is not finite.
    """
    poses = np.asarray(trajectory, dtype=np.float64)
    if poses.ndim != 2 or poses.shape[1] != 3 or len(poses) == 0 or not np.isfinite(poses).all():
        message = f"given shape {poses.shape}; expected finite poses [T, 3] of x, y, yaw"
        raise ValueError(message)
    poses = np.concatenate([np.zeros((1, 3)), poses])
    steps = np.hypot(*np.diff(poses[:, :2], axis=0).T)
    s = np.concatenate([[0.0], np.cumsum(steps)])
    speed = np.concatenate([steps[:1], steps]) / STEP_S
    return Track(s=s, xy=poses[:, :2], heading=_held(np.unwrap(poses[:, 2]), speed), speed=speed)


def profile(path: Track) -> Profile:
    """Return the smoothed heading and curvature of a track.

    The samples are evenly spaced, as near to 1 m as the length allows, so that both ends are kept: the heading
    change of the whole path is exact. The window is centred, and shorter at the ends.
    """
    intervals = max(1, round(path.length / SPACING))
    s = np.linspace(0.0, path.length, intervals + 1)
    heading = _smoothed(path.heading_at(s))
    spacing = path.length / intervals
    curvature = np.gradient(heading, spacing) if spacing > 0.0 else np.zeros_like(s)
    return Profile(s=s, heading=heading, curvature=curvature, speed=_speed_at(s, path))


def common_length(one: Track, other: Track) -> float:
    """Return the arc length that both tracks reach, metres: that of the shorter one."""
    return min(one.length, other.length)


def _held(yaw: Floats, speed: Floats) -> Floats:
    """Replace the yaw of slow points by that of the last point that moved."""
    moving = speed >= MOVING
    moving[0] = True
    last = np.maximum.accumulate(np.where(moving, np.arange(len(yaw)), 0))
    held: Floats = yaw[last]
    return held


def _smoothed(values: Floats) -> Floats:
    """Return the centred moving average over `WINDOW`, narrower where an end is nearer than half of it."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    half = np.minimum(int(WINDOW / SPACING) // 2, np.minimum(index, index[::-1]))
    averaged: Floats = (sums[index + half + 1] - sums[index - half]) / (2 * half + 1)
    return averaged


def _speed_at(s: Floats, path: Track) -> Floats:
    """Return the speed of the step that covers each arc length."""
    step = np.clip(np.searchsorted(path.s, s, side="left"), 0, len(path.s) - 1)
    speed: Floats = path.speed[step]
    return speed
