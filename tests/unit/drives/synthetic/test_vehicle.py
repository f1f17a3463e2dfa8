"""Motion along a road."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from touge.drives.synthetic.road import bend, centreline, straight
from touge.drives.synthetic.route import Style, route
from touge.drives.synthetic.vehicle import Driver, Manoeuvres, drive

STEADY = Driver(wander=0.0)
ALONG = centreline(straight(400))


@given(st.sampled_from(list(Style)), st.integers(0, 10**6), st.floats(1.5, 3.0))
@settings(max_examples=15, deadline=None)
def test_lateral_acceleration_stays_bounded(style, seed, lateral):
    motion = drive(
        route(style, 600, np.random.default_rng(seed)), Driver(lateral=lateral), Manoeuvres(1.6), start=0, seconds=20
    )

    assert np.abs(motion.speed**2 * motion.kappa).max() <= lateral * 1.15


@given(st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_acceleration_and_jerk_stay_comfortable(seed):
    road = route(Style.MOUNTAIN, 600, np.random.default_rng(seed))
    motion = drive(road, Driver(), Manoeuvres(1.6), start=0, seconds=20)

    acceleration = np.gradient(motion.speed, 0.01)[100:-100]
    assert -2.2 <= acceleration.min()
    assert acceleration.max() <= 1.7
    assert np.abs(np.gradient(acceleration, 0.01)).max() <= 8.37  # the comfort bound of the model's reward


def test_a_vehicle_slows_down_before_the_bend():
    road = centreline([*straight(150), *bend(30, 1.5), *straight(200)])
    motion = drive(road, STEADY, Manoeuvres(1.5), start=0, seconds=20)

    before = motion.speed[np.searchsorted(motion.s, 165)]
    assert before < STEADY.limit - 2


def test_a_vehicle_faces_where_it_goes():
    road = route(Style.MOUNTAIN, 600, np.random.default_rng(3))
    motion = drive(road, Driver(), Manoeuvres(1.6), start=20, seconds=20)

    course = np.unwrap(np.arctan2(*np.diff(motion.xy, axis=0).T[::-1]))
    assert np.abs(course - motion.yaw[:-1])[50:-50].max() < 0.02


def test_a_vehicle_keeps_to_its_lane():
    motion = drive(ALONG, Driver(wander=0.15), Manoeuvres(1.75), start=10, seconds=20)

    assert np.abs(motion.xy[:, 1] - 1.75).max() <= 0.16


def test_an_unsteady_driver_drifts_around_the_limit_by_that_share():
    speed = drive(ALONG, Driver(limit=12.0, unsteady=0.1), Manoeuvres(1.5), start=10, seconds=20).speed

    assert 12.0 * 0.89 <= speed.min() < 11.5
    assert 12.5 < speed.max() <= 12.0 * 1.11


def test_a_vehicle_stands_at_the_stop_line():
    motion = drive(ALONG, STEADY, Manoeuvres(1.5, stops=((100.0, 4.0),)), start=10, seconds=20)

    standing = motion.speed < 0.2
    assert 3.0 <= standing.sum() / 100 <= 5.5
    assert motion.s[standing].mean() == pytest.approx(100, abs=1)


def test_a_lane_change_ends_in_the_other_lane():
    motion = drive(ALONG, STEADY, Manoeuvres(5.0, lane_changes=((60.0, 70.0, -3.5),)), start=10, seconds=20)

    assert motion.xy[0, 1] == pytest.approx(5.0)
    assert motion.xy[-1, 1] == pytest.approx(1.5)


def test_a_road_that_is_too_short_is_refused():
    with pytest.raises(ValueError, match="the road ends 39 m after the start"):
        drive(centreline(straight(40)), STEADY, Manoeuvres(1.5), start=0, seconds=20)
