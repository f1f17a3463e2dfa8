"""How a vehicle drives along a road: lane position and speed in, motion at 100 Hz out.

Second step of the synthetic world, after `road`. Pure. The motion is the truth; sensor noise and
faults come later.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from touge.drives.drive import Floats
from touge.drives.synthetic.road import Centreline

RATE_HZ = 100
#: Path samples, metres.
_STEP_M = 0.25
#: A vehicle that rolls towards a stop line is taken to stand below this speed, m/s.
_CREEP = 0.3
#: Smoothing of distance over time, seconds: keeps jerk near 2 m/s^3 at the accelerations below.
_SMOOTH_S = 0.4


@dataclass(frozen=True, slots=True)
class Driver:
    """How somebody drives.

    Attributes:
        limit: Speed on straights, m/s.
        lateral: Most lateral acceleration, m/s^2. 2 to 3 is what passengers accept.
        accelerate: Most acceleration, m/s^2.
        brake: Most deceleration, m/s^2.
        unsteady: How far the speed on straights drifts from the limit, as a share of it.
        wander: Amplitude of the drift in the lane, metres.
        phase: Where in both drifts the drive begins, radians.
    """

    limit: float = 14.0
    lateral: float = 2.5
    accelerate: float = 1.5
    brake: float = 2.0
    unsteady: float = 0.0
    wander: float = 0.12
    phase: float = 0.0


@dataclass(frozen=True, slots=True)
class Manoeuvres:
    """What the driver does beside following the lane; arc lengths along the road, metres.

    Attributes:
        lane: Offset of the lane's centre from the centreline, metres, left positive.
        lane_changes: (start, length, change of offset) each.
        stops: (stop line, seconds of standstill) each.
    """

    lane: float
    lane_changes: tuple[tuple[float, float, float], ...] = ()
    stops: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """The rear axle's true motion at `RATE_HZ`, in the road's frame.

    Attributes:
        t: [N] seconds from 0.
        xy: [N, 2] metres.
        yaw: [N] radians, unwrapped.
        speed: [N] m/s.
        kappa: [N] curvature of the driven path, 1/m.
        s: [N] arc length along the road, metres.
    """

    t: Floats
    xy: Floats
    yaw: Floats
    speed: Floats
    kappa: Floats
    s: Floats


def drive(road: Centreline, driver: Driver, manoeuvres: Manoeuvres, start: float, seconds: float) -> Motion:
    """Drive along `road` from arc length `start` for `seconds`.

    Raises:
        ValueError: If the road ends before the time is over.
    """
    s = np.arange(start, road.length, _STEP_M)
    d = lane_offset(s, driver, manoeuvres)
    xy = road.at(s, d)
    path, yaw, kappa = _along(xy)
    stops = tuple((float(np.interp(line, s, path)), dwell) for line, dwell in manoeuvres.stops if line > start)
    speed = speed_profile(path, kappa, driver, tuple(line for line, _ in stops))
    t = np.arange(int(seconds * RATE_HZ) + 1) / RATE_HZ
    travelled = _travelled(path, speed, stops, t)
    if travelled[-1] >= path[-1]:
        message = f"the road ends {path[-1]:.0f} m after the start, before {seconds} s of driving are over"
        raise ValueError(message)
    columns = [np.interp(travelled, path, column) for column in (*xy.T, yaw, kappa, s)]
    return Motion(
        t=t,
        xy=np.column_stack(columns[:2]),
        yaw=columns[2],
        speed=np.gradient(travelled, 1 / RATE_HZ),
        kappa=columns[3],
        s=columns[4],
    )


def lane_offset(s: Floats, driver: Driver, manoeuvres: Manoeuvres) -> Floats:
    """Return the offset from the centreline at each arc length: lane, drift, lane changes; metres."""
    drift = np.sin(s / 37 + driver.phase) + 0.5 * np.sin(s / 17 + 2 * driver.phase)
    d = manoeuvres.lane + driver.wander / 1.5 * drift
    for start, length, change in manoeuvres.lane_changes:
        x = np.clip((s - start) / length, 0, 1)
        d = d + change * x**3 * (10 - 15 * x + 6 * x**2)  # quintic: no jump in lateral acceleration
    return d


def speed_profile(path: Floats, kappa: Floats, driver: Driver, stops: tuple[float, ...]) -> Floats:
    """Return the highest speed that respects lateral acceleration, acceleration, braking and stops.

    Args:
        path: [N] arc length along the driven path, metres, evenly spaced.
        kappa: [N] its curvature, 1/m.
        driver: The bounds.
        stops: Path positions where the speed is zero.
    """
    curve = np.sqrt(driver.lateral / np.maximum(np.abs(kappa), 1e-6))
    drift = (np.sin(path / 29 + 3 * driver.phase) + 0.5 * np.sin(path / 13 + 5 * driver.phase)) / 1.5
    bound = np.minimum(curve, driver.limit * (1 + driver.unsteady * drift))
    for line in stops:
        bound[np.abs(path - line).argmin()] = 0.0
    squared = _limited(bound**2, np.diff(path), driver.accelerate)
    squared = _limited(squared[::-1], np.diff(path)[::-1], driver.brake)[::-1]
    speed: Floats = np.sqrt(squared)
    return speed


def _limited(squared: Floats, steps: Floats, acceleration: float) -> Floats:
    """Bound the growth of v^2 along the path: v^2 grows by at most 2 a per metre."""
    gain = np.concatenate([[0.0], np.cumsum(2 * acceleration * steps)])
    limited: Floats = np.minimum.accumulate(squared - gain) + gain
    return limited


def _along(xy: Floats) -> tuple[Floats, Floats, Floats]:
    """Return arc length, unwrapped course and curvature of a dense path."""
    path = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])
    dx, dy = np.gradient(xy, path, axis=0).T
    yaw = np.unwrap(np.arctan2(dy, dx))
    return path, yaw, gaussian_filter1d(np.gradient(yaw, path), 2.0)


def _travelled(path: Floats, speed: Floats, stops: tuple[tuple[float, float], ...], t: Floats) -> Floats:
    """Return the distance at each time, smoothed over time so that jerk is bounded."""
    slowest = np.maximum((speed[1:] + speed[:-1]) / 2, _CREEP)
    arrival = np.concatenate([[0.0], np.cumsum(np.diff(path) / slowest)])
    for line, dwell in stops:
        arrival = arrival + np.where(path > line, dwell, 0.0)
    margin = 4 * _SMOOTH_S
    padded = np.arange(-int(margin * RATE_HZ), len(t) + int(margin * RATE_HZ)) / RATE_HZ
    before = np.minimum(padded, 0) * speed[0]
    distance = gaussian_filter1d(np.interp(padded, arrival, path) + before, _SMOOTH_S * RATE_HZ)
    cut: Floats = distance[int(margin * RATE_HZ) : int(margin * RATE_HZ) + len(t)]
    return cut
