"""From poses in a fixed frame to a window in the ego frame."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from touge.motion.frames import about_z, at_times, ego_window, in_ego_frame, rotation_of, window_times, yaw_of

T0 = 5_000_000


def quaternion(axis, angle):
    axis, angle = np.asarray(axis, float), np.asarray(angle, float)
    axis = axis / np.linalg.norm(axis)
    return np.concatenate([np.sin(angle / 2)[..., None] * axis, np.cos(angle / 2)[..., None]], axis=-1)


def product(p, q):
    """Hamilton product of quaternions x, y, z, w."""
    (px, py, pz, pw), (qx, qy, qz, qw) = np.moveaxis(p, -1, 0), np.moveaxis(q, -1, 0)
    return np.stack(
        [
            pw * qx + px * qw + py * qz - pz * qy,
            pw * qy - px * qz + py * qw + pz * qx,
            pw * qz + px * qy - py * qx + pz * qw,
            pw * qw - px * qx - py * qy - pz * qz,
        ],
        axis=-1,
    )


def circle(radius=50.0, speed=10.0, hz=100):
    """A flat left-hand circle over 15 s: times, positions, quaternions."""
    t_us = np.arange(0, 15_000_000, 1_000_000 // hz)
    yaw = speed * t_us / 1e6 / radius
    xyz = np.column_stack([radius * np.sin(yaw), radius * (1 - np.cos(yaw)), np.zeros_like(yaw)])
    return t_us, xyz, quaternion([0, 0, 1], yaw)


def placed(poses, attitude, origin=(3e5, 4e6, 700.0)):
    """The same poses in a world that is turned by `attitude` and shifted."""
    t_us, xyz, quat = poses
    turned = product(np.broadcast_to(attitude, quat.shape), quat)
    return t_us, xyz @ rotation_of(attitude).T + np.array(origin), turned


def test_a_window_of_a_circle_is_that_circle_from_the_ego_at_t0():
    window = ego_window(*circle(), T0)
    yaw = np.arange(1, 65) * 0.1 * 10.0 / 50.0

    assert window.future[:, 2] == pytest.approx(yaw)
    assert window.future[:, 1] == pytest.approx(50.0 * (1 - np.cos(yaw)))
    assert window.history[:, 3] == pytest.approx(np.arange(-15, 1) * 0.02)


def test_the_last_history_row_is_zero():
    assert not np.abs(ego_window(*circle(), T0).history[-1]).any()


GRADE_AND_BANK = product(quaternion([0, 1, 0], -np.arctan(0.1)), quaternion([1, 0, 0], np.arctan(0.1)))


@pytest.mark.parametrize("heading", [0.0, 2.0, -3.0])
def test_on_a_grade_and_bank_of_ten_percent_nothing_is_lost(heading):
    tilted = product(quaternion([0, 0, 1], heading), GRADE_AND_BANK)
    flat, steep = ego_window(*circle(), T0), ego_window(*placed(circle(), tilted), T0)

    assert steep.future == pytest.approx(flat.future, abs=1e-6)
    assert steep.history == pytest.approx(flat.history, abs=1e-6)


def test_what_the_model_gets_on_a_plane_is_the_full_rotation_and_position():
    poses = placed(circle(), GRADE_AND_BANK)
    full = in_ego_frame(at_times(*poses, window_times(T0)), 15)
    future = ego_window(*poses, T0).future

    assert about_z(future[:, 2]) == pytest.approx(full.rotation[16:], abs=1e-9)
    assert full.xyz[16:] == pytest.approx(np.column_stack([future[:, :2], np.zeros(64)]), abs=1e-6)


def test_where_the_grade_changes_x_y_and_yaw_are_those_of_the_full_rotation():
    t_us, xyz, quat = circle()
    pitched = product(quat, quaternion([0, 1, 0], -np.linspace(-0.1, 0.1, len(t_us))))
    full = in_ego_frame(at_times(t_us, xyz, pitched, window_times(T0)), 15)
    future = ego_window(t_us, xyz, pitched, T0).future

    assert np.angle(np.exp(1j * (future[:, 2] - yaw_of(full.rotation[16:])))) == pytest.approx(np.zeros(64))
    assert future[:, :2] == pytest.approx(full.xyz[16:, :2])


def test_yaw_goes_on_beyond_a_half_turn():
    assert ego_window(*circle(radius=12.0), T0).future[-1, 2] == pytest.approx(64.0 / 12.0)


def test_the_sign_of_a_quaternion_does_not_matter():
    t_us, xyz, quat = circle()
    flipped = quat * np.where(np.arange(len(quat)) % 3 == 0, -1.0, 1.0)[:, None]

    assert ego_window(t_us, xyz, flipped, T0).future == pytest.approx(ego_window(t_us, xyz, quat, T0).future)


def test_attitudes_between_poses_turn_evenly():
    t_us, xyz, quat = circle(hz=2)
    between = at_times(t_us, xyz, quat, np.array([600_000, 750_000, 900_000]))

    assert yaw_of(between.rotation) == pytest.approx([0.12, 0.15, 0.18])


def test_positions_between_poses_lie_on_the_chord():
    xyz = np.array([[0.0, 0, 0], [2.0, 4.0, 6.0]])
    still = quaternion([0, 0, 1], np.zeros(2))

    assert at_times(np.array([0, 100]), xyz, still, np.array([25])).xyz == pytest.approx(np.array([[0.5, 1.0, 1.5]]))


@pytest.mark.parametrize("t0_us", [1_400_000, 8_700_000])
def test_poses_are_never_extrapolated(t0_us):
    with pytest.raises(ValueError, match="never extrapolated"):
        ego_window(*circle(), t0_us)


@given(st.floats(-3, 3), st.floats(-1.4, 1.4), st.floats(-3, 3))
def test_the_window_does_not_depend_on_the_fixed_frame(yaw, pitch, roll):
    attitude = product(product(quaternion([0, 0, 1], yaw), quaternion([0, 1, 0], pitch)), quaternion([1, 0, 0], roll))
    window = ego_window(*placed(circle(), attitude), T0)

    assert window.future == pytest.approx(ego_window(*circle(), T0).future, abs=1e-6)
