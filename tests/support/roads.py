"""Futures with known answers: driven along a curvature that is given by arc length."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

STEPS = 64
_FINE = 20


def driven(
    curvature: Callable[[np.ndarray], np.ndarray], speed: float | Callable[[np.ndarray], np.ndarray] = 10.0
) -> np.ndarray:
    """A future [64, 3] at `speed` m/s (a number or a function of seconds) along a curvature of arc length."""
    dt = 0.1 / _FINE
    t = (np.arange(STEPS * _FINE) + 0.5) * dt
    step = (speed(t) if callable(speed) else np.full_like(t, speed)) * dt
    s = np.cumsum(step)
    turned = curvature(s - step / 2) * step
    yaw = np.cumsum(turned)
    middle = yaw - turned / 2
    xy = np.cumsum(step[:, None] * np.column_stack([np.cos(middle), np.sin(middle)]), axis=0)
    return np.column_stack([xy, yaw])[_FINE - 1 :: _FINE]


def straight(speed: float = 10.0) -> np.ndarray:
    return driven(np.zeros_like, speed)


def arc(radius: float, speed: float = 10.0) -> np.ndarray:
    """Constant radius, left for a positive one."""
    return driven(lambda s: np.full_like(s, 1 / radius), speed)


def bend(radius: float, start: float, length: float, speed: float = 10.0) -> np.ndarray:
    """Straight, then an arc of that length, then straight."""
    return driven(lambda s: np.where((s >= start) & (s < start + length), 1 / radius, 0.0), speed)


def clothoid(last_radius: float, speed: float = 10.0) -> np.ndarray:
    """Curvature that grows evenly from 0 to 1 / `last_radius` at the end."""
    return driven(lambda s: s / (last_radius * speed * 0.1 * STEPS), speed)


def s_curve(radius: float, half: float, speed: float = 10.0, second: float | None = None) -> np.ndarray:
    """An arc of `half` metres to the left (of a positive radius), then one of `second` metres to the other side."""
    end = half + (half if second is None else second)
    return driven(lambda s: np.where(s < half, 1 / radius, np.where(s < end, -1 / radius, 0.0)), speed)


def lane_change(offset: float, length: float, speed: float, radius: float = np.inf) -> np.ndarray:
    """A heading bump that moves the path sideways by `offset` metres over `length` metres, on a road of that radius."""
    peak = 2 * offset / length
    half = peak / 2 * 2 * np.pi / length
    return driven(lambda s: 1 / radius + np.where(s < length, half * np.sin(2 * np.pi * s / length), 0.0), speed)


def mirrored(path: np.ndarray) -> np.ndarray:
    """The same with left and right exchanged."""
    return path * np.array([1.0, -1.0, -1.0])


def noisy(path: np.ndarray, rng: np.random.Generator, *, correlation_s: float = 0.0) -> np.ndarray:
    """The path with 5 cm and 0.02 rad of noise (standard deviations), drifting over `correlation_s` seconds."""
    white = rng.normal(size=path.shape)
    if correlation_s > 0.0:
        lag = np.subtract.outer(np.arange(len(path)), np.arange(len(path))) * 0.1
        spread = np.linalg.cholesky(np.exp(-((lag / correlation_s) ** 2) / 2) + 1e-9 * np.eye(len(path)))
        white = spread @ white
    return path + white * np.array([0.05, 0.05, 0.02])
