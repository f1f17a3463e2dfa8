"""What a vehicle's instruments report of its true motion: poses, velocity, curvature, with sensor noise.

Between `vehicle` (the truth) and `defects` (gross faults). Pure but for the generator passed in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from touge.drives.drive import Floats, Microseconds
from touge.drives.synthetic.vehicle import RATE_HZ, Motion


@dataclass(frozen=True, slots=True, eq=False)
class EgoLog:
    """Ego motion as PhysicalAI-AV stores it, in the frame of the vehicle at time 0 (the anchor).

    Attributes:
        t_us: [N] microseconds.
        xyz: [N, 3] metres, rear axle on the ground.
        yaw: [N] radians.
        velocity: [N, 3] m/s, in the anchor's frame.
        acceleration: [N, 3] m/s^2, in the anchor's frame.
        curvature: [N] 1/m, left positive.
    """

    t_us: Microseconds
    xyz: Floats
    yaw: Floats
    velocity: Floats
    acceleration: Floats
    curvature: Floats

    @property
    def quat(self) -> Floats:
        """Orientation, [N, 4] x, y, z, w."""
        zero = np.zeros_like(self.yaw)
        return np.column_stack([zero, zero, np.sin(self.yaw / 2), np.cos(self.yaw / 2)])


@dataclass(frozen=True, slots=True)
class Noise:
    """Standard deviations of a GNSS-aided inertial unit after its filter.

    Attributes:
        position: Of each position by itself, metres.
        drift: Of the slow error of position, metres.
        drift_s: Its correlation time, seconds.
        yaw: Radians.
        speed: m/s.
    """

    position: float = 0.002
    drift: float = 0.02
    drift_s: float = 2.0
    yaw: float = 0.0003
    speed: float = 0.02


def recorded(motion: Motion, zero_s: float, noise: Noise, rng: np.random.Generator) -> EgoLog:
    """Return the log of a motion.

    Args:
        motion: The truth.
        zero_s: Time of the motion that the log calls 0 and anchors its frame at.
        noise: Of the instruments.
        rng: Source of the noise.
    """
    count, zero = len(motion.t), round(zero_s * RATE_HZ)
    xy = _rotated(motion.xy - motion.xy[zero], -motion.yaw[zero])
    xy = xy + noise.position * rng.standard_normal((count, 2)) + _drift(count, noise, rng)
    yaw = motion.yaw - motion.yaw[zero] + noise.yaw * rng.standard_normal(count)
    speed = motion.speed + noise.speed * rng.standard_normal(count)
    forward = np.column_stack([np.cos(yaw), np.sin(yaw)])
    true_velocity = motion.speed[:, None] * _rotated(_heading(motion.yaw), -motion.yaw[zero])
    return EgoLog(
        t_us=np.round((motion.t - zero_s) * 1e6).astype(np.int64),
        xyz=_with_zero(xy),
        yaw=yaw,
        velocity=_with_zero(speed[:, None] * forward),
        acceleration=_with_zero(np.gradient(true_velocity, 1 / RATE_HZ, axis=0)),
        curvature=motion.kappa,
    )


def _drift(count: int, noise: Noise, rng: np.random.Generator) -> Floats:
    """Return a smooth random error, [count, 2] metres."""
    sigma = noise.drift_s * RATE_HZ
    padding = int(4 * sigma)
    slow = gaussian_filter1d(rng.standard_normal((count + 2 * padding, 2)), sigma, axis=0)
    scaled: Floats = slow[padding : padding + count] * noise.drift * math.sqrt(2 * sigma * math.sqrt(math.pi))
    return scaled


def _heading(yaw: Floats) -> Floats:
    return np.column_stack([np.cos(yaw), np.sin(yaw)])


def _rotated(xy: Floats, angle: float) -> Floats:
    cos, sin = math.cos(angle), math.sin(angle)
    turned: Floats = xy @ np.array([[cos, sin], [-sin, cos]])
    return turned


def _with_zero(xy: Floats) -> Floats:
    return np.column_stack([xy, np.zeros(len(xy))])
