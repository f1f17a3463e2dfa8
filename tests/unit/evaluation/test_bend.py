"""Curvature gain and its kin, at equal arc length."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from touge.evaluation.bend import Stretch, false_bends, heading_changes, lateral_errors, stretches
from touge.motion.labels import Direction

from .paths import arc, s_curve

LEFT, RIGHT = Direction.LEFT, Direction.RIGHT


def gain(rollout: np.ndarray, truth: np.ndarray, kind: str = "curve") -> float:
    pairs = list(heading_changes(rollout[None], truth, stretches(kind, truth)))
    return sum(p.truth * p.predicted for p in pairs) / sum(p.truth**2 for p in pairs)


def test_a_perfect_prediction_has_gain_one():
    assert gain(arc(80.0), arc(80.0)) == pytest.approx(1.0)


def test_driving_straight_into_a_bend_has_gain_zero():
    assert gain(arc(math.inf), arc(80.0)) == pytest.approx(0.0)


def test_a_slower_car_on_the_right_path_has_gain_one():
    assert gain(arc(80.0, speed=5.0), arc(80.0)) == pytest.approx(1.0, abs=0.01)


def test_a_faster_car_on_the_right_path_has_gain_one():
    assert gain(arc(80.0, speed=15.0), arc(80.0)) == pytest.approx(1.0, abs=0.01)


@given(radius=st.floats(20, 400), share=st.floats(0.0, 1.5), speed=st.floats(4, 20))
def test_the_gain_is_the_share_of_curvature_that_is_driven(radius, share, speed):
    predicted = arc(radius / share if share else math.inf, speed=speed)

    assert gain(predicted, arc(radius)) == pytest.approx(share, abs=0.01)


def test_an_s_curve_counts_lobe_by_lobe():
    truth = s_curve(60.0)
    bends = stretches("s_curve", truth)

    assert [bend.direction for bend in bends] == [LEFT, RIGHT]
    assert gain(truth, truth, "s_curve") == pytest.approx(1.0)


def test_driving_straight_through_an_s_curve_has_gain_zero_though_both_end_with_the_same_heading():
    assert gain(arc(math.inf), s_curve(60.0), "s_curve") == pytest.approx(0.0)


def test_a_straight_road_has_no_bend_to_answer():
    assert stretches("straight", arc(math.inf)) == ()


def test_a_rollout_that_stops_at_once_says_nothing_of_the_gain():
    standing = np.zeros((1, 64, 3))

    assert list(heading_changes(standing, arc(80.0), stretches("curve", arc(80.0)))) == []


@pytest.mark.parametrize(("share", "under"), [(0.4, True), (0.6, False), (-1.0, True)])
def test_less_than_half_of_the_bend_is_an_under_turn(share, under):
    truth = arc(-80.0)
    (pair,) = heading_changes(arc(-80.0 / share)[None], truth, stretches("curve", truth))

    assert pair.under_turn is under


@pytest.mark.parametrize("radius", [80.0, -80.0])
def test_a_straight_prediction_ends_towards_the_outside_of_the_bend(radius):
    truth = arc(radius)
    (bend,) = stretches("curve", truth)

    assert lateral_errors(arc(math.inf)[None], truth, bend)[0] < -10.0


def test_the_lateral_error_ignores_being_early_or_late():
    truth = arc(80.0)
    errors = lateral_errors(np.stack([arc(80.0, speed=6.0), arc(80.0, speed=13.0)]), truth, Stretch(0.0, 64.0, LEFT))

    assert np.abs(errors).max() < 0.02


def test_ten_degrees_tell_a_false_bend():
    almost, beyond = (arc(64.0 / math.radians(degrees)) for degrees in (9.9, 10.1))

    assert false_bends(np.stack([almost, beyond])) == [False, True]


def test_a_swerve_that_comes_back_is_a_false_bend():
    assert false_bends(s_curve(100.0)[None]) == [True]
