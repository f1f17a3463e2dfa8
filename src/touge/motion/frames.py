"""From poses in any fixed frame to one window in the ego frame at t0.

Between a drive's poses and a sample's `history` and `future`. Positions are interpolated linearly and attitudes
spherically onto the 10 Hz grid, between poses and never beyond them; whether the poses are close enough to be
interpolated is judged in `bounds`.

Rule of frames: the window is rotated by the **full attitude** at t0 (yaw, pitch and roll), so its x-y plane is the
plane of the vehicle at t0. Of each pose x, y and yaw = atan2(R10, R00) are kept (history: z, too), and the model is
given Rz(yaw) and z = 0 in the future. On a constant grade and bank nothing is lost.

Quaternions are x, y, z, w: fixed frame from ego, as in `touge.drives.drive.Poses`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from touge.contract.sample import FUTURE_STEPS, HISTORY_STEPS

Floats = npt.NDArray[np.float64]
Microseconds = npt.NDArray[np.int64]

STEP_US = 100_000
HISTORY_US = (HISTORY_STEPS - 1) * STEP_US
FUTURE_US = FUTURE_STEPS * STEP_US


@dataclass(frozen=True, slots=True, eq=False)
class Attitudes:
    """Poses at chosen times: positions [N, 3] in metres, rotation matrices [N, 3, 3]."""

    xyz: Floats
    rotation: Floats


@dataclass(frozen=True, slots=True, eq=False)
class EgoWindow:
    """One window in the ego frame at t0.

    Attributes:
        history: [16, 4] x, y, z, yaw at t0-1.5 s … t0; the last row is zero.
        future: [64, 3] x, y, yaw at t0+0.1 s … t0+6.4 s.
    """

    history: Floats
    future: Floats


def ego_window(t_us: Microseconds, xyz: Floats, quat: Floats, t0_us: int) -> EgoWindow:
    """Cut the window at t0 out of a drive.

    Args:
        t_us: [N] microseconds, strictly increasing.
        xyz: [N, 3] metres, fixed frame.
        quat: [N, 4] unit quaternions x, y, z, w.
        t0_us: Time of the window.

    Raises:
        ValueError: If the poses do not reach from t0-1.5 s to t0+6.4 s.
    """
    poses = in_ego_frame(at_times(t_us, xyz, quat, window_times(t0_us)), HISTORY_STEPS - 1)
    yaw = np.unwrap(yaw_of(poses.rotation))
    yaw -= yaw[HISTORY_STEPS - 1]
    history = np.column_stack([poses.xyz, yaw])[:HISTORY_STEPS]
    future = np.column_stack([poses.xyz[:, :2], yaw])[HISTORY_STEPS:]
    return EgoWindow(history=history, future=future)


def window_times(t0_us: int) -> Microseconds:
    """Return the 80 times of a window at 10 Hz, from t0-1.5 s to t0+6.4 s, microseconds."""
    return t0_us + np.arange(-HISTORY_US, FUTURE_US + 1, STEP_US, dtype=np.int64)


def at_times(t_us: Microseconds, xyz: Floats, quat: Floats, wanted_us: Microseconds) -> Attitudes:
    """Interpolate poses: positions linearly, attitudes along the shortest arc (slerp).

    Args:
        t_us: [N] microseconds, strictly increasing.
        xyz: [N, 3] metres.
        quat: [N, 4] unit quaternions x, y, z, w; either sign of each.
        wanted_us: [M] microseconds.

    Raises:
        ValueError: If a wanted time lies before the first or after the last pose.
    """
    if wanted_us.min() < t_us[0] or wanted_us.max() > t_us[-1]:
        message = (
            f"asked for poses from {wanted_us.min()} to {wanted_us.max()} us, the drive has "
            f"{t_us[0]} to {t_us[-1]}; poses are never extrapolated"
        )
        raise ValueError(message)
    after = np.clip(np.searchsorted(t_us, wanted_us, side="left"), 1, len(t_us) - 1)
    before = after - 1
    share = (wanted_us - t_us[before]) / (t_us[after] - t_us[before])
    position = xyz[before] + share[:, None] * (xyz[after] - xyz[before])
    return Attitudes(position, rotation_of(_slerp(quat[before], quat[after], share)))


def in_ego_frame(poses: Attitudes, at: int) -> Attitudes:
    """Return the poses relative to the one with index `at`: R_at^T (p - p_at) and R_at^T R."""
    origin = poses.rotation[at]
    return Attitudes((poses.xyz - poses.xyz[at]) @ origin, origin.T @ poses.rotation)


def rotation_of(quat: Floats) -> Floats:
    """Return rotation matrices [..., 3, 3] of unit quaternions [..., 4] x, y, z, w."""
    x, y, z, w = np.moveaxis(quat, -1, 0)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def yaw_of(rotation: Floats) -> Floats:
    """Return the yaw of rotation matrices [..., 3, 3] as the model defines it: atan2(R10, R00), radians."""
    return np.asarray(np.arctan2(rotation[..., 1, 0], rotation[..., 0, 0]))


def about_z(yaw: Floats) -> Floats:
    """Return Rz(yaw), [..., 3, 3]: the rotations that the model is given."""
    zero = np.zeros_like(yaw)
    return rotation_of(np.stack([zero, zero, np.sin(yaw / 2), np.cos(yaw / 2)], axis=-1))


def _slerp(one: Floats, other: Floats, share: Floats) -> Floats:
    """Interpolate unit quaternions [M, 4] by `share` [M] along the shorter arc."""
    cosine = (one * other).sum(axis=-1)
    other = np.where(cosine[:, None] < 0.0, -other, other)
    angle = np.arccos(np.clip(np.abs(cosine), 0.0, 1.0))
    sine = np.sin(angle)
    near = sine < 1e-9  # parallel: linear is exact to rounding
    safe = np.where(near, 1.0, sine)
    weight_one = np.where(near, 1.0 - share, np.sin((1.0 - share) * angle) / safe)
    weight_other = np.where(near, share, np.sin(share * angle) / safe)
    mixed = weight_one[:, None] * one + weight_other[:, None] * other
    normed: Floats = mixed / np.linalg.norm(mixed, axis=-1, keepdims=True)
    return normed
