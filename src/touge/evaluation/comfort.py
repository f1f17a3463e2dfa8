"""Comfort of a path: whether a passenger would bear the accelerations, jerks and yaw rates that it implies.

The bounds are nuPlan's, which Alpamayo's reward uses too (nuplan-devkit, `ego_is_comfortable`; arXiv 2106.11810).
Derivatives are of a local quadratic over 1.5 s, as there, so that the noise of a pose is not taken for jerk.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from touge.contract.sample import STEP_S

Array = NDArray[np.float64]

LATERAL = 4.89
LONGITUDINAL = (-4.05, 2.40)
JERK = 8.37
YAW_RATE = 0.95
YAW_ACCELERATION = 1.93
_WINDOW = 15


def comfortable(rollouts: Array) -> NDArray[np.bool_]:
    """Return for each of K paths [K, T, 3] (x, y, yaw; metres, radians, 10 Hz) whether it stays within every bound.

    Limits in m/s², m/s³, rad/s and rad/s². The pose at t0, the origin, is taken as the first of the path.
    """
    poses = np.concatenate([np.zeros_like(rollouts[:, :1]), rollouts], axis=1)
    yaw = np.unwrap(poses[..., 2], axis=1)
    velocity = _derivative(poses[..., :2], 1)
    speed = np.hypot(velocity[..., 0], velocity[..., 1])
    yaw_rate = _derivative(yaw, 1)
    longitudinal = _derivative(speed, 1)
    jerk = _derivative(longitudinal, 1)
    within = (
        (np.abs(speed * yaw_rate) <= LATERAL)
        & (longitudinal >= LONGITUDINAL[0])
        & (longitudinal <= LONGITUDINAL[1])
        & (np.abs(jerk) <= JERK)
        & (np.abs(yaw_rate) <= YAW_RATE)
        & (np.abs(_derivative(yaw, 2)) <= YAW_ACCELERATION)
    )
    return np.array([bool(path.all()) for path in within])


def _derivative(values: Array, order: int) -> Array:
    """Return the derivative of values [K, T, ...] along their second axis."""
    result: Array = np.einsum("st,kt...->ks...", _operator(values.shape[1], order), values)
    return result


@lru_cache(maxsize=8)
def _operator(points: int, order: int) -> Array:
    """Return [T, T] that takes samples to derivatives of the quadratic fitted to the 15 samples about each.

    A Savitzky-Golay filter (doi:10.1021/ac60214a047); the first and the last window serve the points at the ends.
    """
    operator = np.zeros((points, points))
    for point in range(points):
        start = min(max(0, point - _WINDOW // 2), points - _WINDOW)
        times = STEP_S * (np.arange(start, start + _WINDOW) - point)
        coefficients = np.linalg.pinv(np.vander(times, 3, increasing=True))
        operator[point, start : start + _WINDOW] = math.factorial(order) * coefficients[order]
    return operator
