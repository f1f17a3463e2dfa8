"""Plausibility of a window."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from roads import arc, bend, driven, mirrored, s_curve

from touge.motion.bounds import Bounds, Reason, implied_speed, log_findings, window_findings

T0 = 2_000_000


def log(seconds=10.0, hz=100, speed=12.0):
    """A straight drive from time 0: times, positions, reported speed."""
    t_us = np.arange(0, int(seconds * 1e6) + 1, 1_000_000 // hz)
    x = speed * t_us / 1e6
    return t_us, np.column_stack([x, np.zeros_like(x), np.zeros_like(x)]), np.full(len(x), speed)


def reasons(found):
    return {finding.reason for finding in found}


def test_a_good_log_has_no_findings():
    assert log_findings(*log(), T0) == ()


def test_a_future_that_ends_early_is_short_and_says_how_long_it_is():
    (found,) = log_findings(*log(seconds=7.0), T0)

    assert (found.reason, found.value, found.bound) == (Reason.SHORT_FUTURE, 5.0, 6.4)


def test_a_history_that_begins_late_is_short():
    assert reasons(log_findings(*log(), 1_400_000)) == {Reason.SHORT_HISTORY}


def test_an_empty_log_is_short_on_both_sides():
    empty = (np.empty(0, np.int64), np.empty((0, 3)), np.empty(0))

    assert reasons(log_findings(*empty, T0)) == {Reason.SHORT_HISTORY, Reason.SHORT_FUTURE}


@pytest.mark.parametrize(("missing_s", "expected"), [(0.28, set()), (0.33, {Reason.GAP})])
def test_a_gap_of_more_than_three_tenths_is_found(missing_s, expected):
    t_us, xyz, speed = log()
    kept = (t_us <= 4_000_000) | (t_us >= 4_000_000 + missing_s * 1e6)

    assert reasons(log_findings(t_us[kept], xyz[kept], speed[kept], T0)) == expected


def test_a_gap_outside_of_the_window_does_not_matter():
    t_us, xyz, speed = log(seconds=20.0)
    kept = (t_us <= 12_000_000) | (t_us >= 14_000_000)

    assert log_findings(t_us[kept], xyz[kept], speed[kept], T0) == ()


@pytest.mark.parametrize("reported", [True, False])
@pytest.mark.parametrize(("jump", "expected"), [(0.9, set()), (1.2, {Reason.POSITION_JUMP})])
def test_a_step_beyond_speed_and_a_metre_is_a_jump(reported, jump, expected):
    t_us, xyz, speed = log()
    xyz[t_us >= 5_000_000, 1] += jump
    speed = speed if reported else np.full_like(speed, np.nan)

    assert reasons(log_findings(t_us, xyz, speed, T0)) == expected


def test_a_repeated_fix_jumps_when_it_ends():
    t_us, xyz, speed = log()
    held = (t_us >= 5_000_000) & (t_us < 5_500_000)
    xyz[held] = xyz[held.argmax()]

    assert reasons(log_findings(t_us, xyz, speed, T0)) == {Reason.POSITION_JUMP}


def test_starting_from_standstill_is_no_jump_without_a_reported_speed():
    t_us, xyz, speed = log(hz=10)
    xyz[:, 0] = np.maximum(0.0, t_us / 1e6 - 3.0) ** 2 * 1.5

    assert log_findings(t_us, xyz, np.full_like(speed, np.nan), T0) == ()


def test_a_position_that_is_no_number_is_found():
    t_us, xyz, speed = log()
    xyz[400] = np.nan

    assert reasons(log_findings(t_us, xyz, speed, T0)) == {Reason.NON_FINITE}


def window(future_of=lambda: arc(80.0), speed=10.0):
    """History and future of one motion: the road's first 6.4 s are shifted so that t0 lies 1.5 s into it."""
    whole = future_of()
    return np.column_stack([speed * np.arange(-15, 1) * 0.1, np.zeros((16, 3))]), whole


@pytest.mark.parametrize("future", [arc(80.0), arc(7.0, 4.0), bend(40.0, 20.0, 30.0), s_curve(60.0, 25.0)])
def test_good_driving_has_no_findings(future):
    speed = np.hypot(*future[0, :2]) / 0.1

    assert window_findings(*window(lambda: future, speed), speed) == ()


def test_hard_braking_is_no_fault():
    future = driven(np.zeros_like, lambda t: np.maximum(0.0, 15.0 - 3.5 * np.maximum(0, t - 1) ** 1.5))

    assert window_findings(*window(lambda: future, 15.0)) == ()


def test_noise_of_two_centimetres_is_no_fault():
    history, future = window()
    rng = np.random.default_rng(3)
    future[:, :2] += rng.normal(0, 0.02, (64, 2))
    history[:-1, :2] += rng.normal(0, 0.02, (15, 2))

    assert window_findings(history, future, 10.0) == ()


def test_a_number_that_is_none_ends_the_judgement():
    history, future = window()
    future[3, 1] = np.inf

    (found,) = window_findings(history, future)

    assert found.reason == Reason.NON_FINITE


@pytest.mark.parametrize(("reported", "expected"), [(11.9, set()), (12.4, {Reason.SPEED_MISMATCH}), (np.nan, set())])
def test_the_speed_that_the_history_implies_must_be_the_reported_one(reported, expected):
    assert reasons(window_findings(*window(), reported)) == expected


def test_speed_in_kilometres_an_hour_is_found():
    (found,) = window_findings(*window(), 36.0)

    assert (found.reason, found.value) == (Reason.SPEED_MISMATCH, pytest.approx(26.0, abs=0.1))


def test_the_implied_speed_is_that_at_t0_while_braking():
    t = np.arange(-15, 1) * 0.1
    history = np.column_stack([12.0 * t - 1.5 * t**2, np.zeros((16, 3))])

    assert implied_speed(history) == pytest.approx(12.0)


def test_a_yaw_of_the_wrong_sign_is_found_on_a_bend():
    history, future = window()
    future[:, 2] *= -1

    assert Reason.YAW_MISMATCH in reasons(window_findings(history, future))


def test_a_heading_that_is_no_enu_yaw_is_found():
    history, future = window()
    future[:, 2] += np.pi / 2

    assert Reason.YAW_MISMATCH in reasons(window_findings(history, future))


def test_a_slow_vehicle_has_no_course_to_compare():
    history, future = window(lambda: arc(30.0, 2.0), 2.0)
    future[:, 2] = np.linspace(0, 0.3, 64)

    assert window_findings(history, future) == ()


@pytest.mark.parametrize(("radius", "expected"), [(5.2, set()), (4.6, {Reason.CURVATURE})])
def test_a_bend_tighter_than_the_model_can_say_is_found(radius, expected):
    assert reasons(window_findings(*window(lambda: arc(radius, 2.5), 2.5))) == expected


def test_an_acceleration_beyond_the_model_is_found():
    future = driven(np.zeros_like, lambda t: 10.0 + 10.5 * t)

    assert Reason.ACCELERATION in reasons(window_findings(*window(lambda: future)))


def test_an_impossible_jerk_is_found():
    future = driven(np.zeros_like, lambda t: np.where(t < 3.0, 10.0, 4.0))

    assert Reason.JERK in reasons(window_findings(*window(lambda: future)))


def test_bounds_are_a_value_of_the_caller():
    assert reasons(window_findings(*window(), bounds=Bounds(curvature=0.01))) == {Reason.CURVATURE}


@given(st.floats(6, 300), st.floats(3, 12), st.floats(0.5, 40))
def test_a_window_and_its_mirror_have_the_same_findings(radius, start, speed):
    history, future = window(lambda: bend(radius, start, 30.0, speed), speed)

    assert reasons(window_findings(history, future)) == reasons(window_findings(history, mirrored(future)))


@pytest.mark.parametrize(("crept", "expected"), [(0.9, {Reason.STANDSTILL}), (1.1, set())])
def test_a_vehicle_that_never_moves_by_a_metre_stands(crept, expected):
    future = np.zeros((64, 3))
    future[:, 0] = np.linspace(0.0, crept, 64)

    assert reasons(window_findings(np.zeros((16, 4)), future)) == expected
