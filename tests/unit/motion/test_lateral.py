"""How far to the side."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from roads import arc, bend, clothoid, lane_change, mirrored, s_curve, straight

from touge.motion.lateral import compensated_offset, error_towards_inside, lateral_error


def test_a_path_has_no_error_against_itself():
    assert lateral_error(arc(70.0), arc(70.0)) == pytest.approx(0.0)


def test_speed_alone_is_no_lateral_error():
    assert lateral_error(arc(70.0, 7.0), arc(70.0, 12.0)) == pytest.approx(0.0, abs=0.01)


def test_driving_straight_through_a_left_bend_ends_on_its_outside():
    missed = lateral_error(straight(), arc(100.0))

    assert missed < -15.0
    assert error_towards_inside(straight(), arc(100.0)) == pytest.approx(missed)
    assert error_towards_inside(straight(), arc(-100.0)) == pytest.approx(missed)


def test_cutting_the_bend_is_an_error_towards_the_inside():
    assert error_towards_inside(arc(-60.0), arc(-80.0)) > 1.0


def test_the_error_can_be_asked_for_at_an_arc_length():
    early, late = (error_towards_inside(straight(), arc(100.0), s) for s in (10.0, 40.0))

    assert early == pytest.approx(-0.5, abs=0.01)
    assert late == pytest.approx(-8.0, abs=0.5)


def test_an_offset_path_is_off_by_its_offset_across_the_heading():
    shifted = arc(50.0) + np.array([0.0, 0.4, 0.0])

    assert lateral_error(shifted, arc(50.0)) == pytest.approx(0.4 * np.cos(64.0 / 50.0), abs=0.03)


@pytest.mark.parametrize("road", [straight(), arc(90.0), arc(-300.0), bend(60.0, 20.0, 40.0)])
def test_following_the_road_has_no_compensated_offset(road):
    assert abs(compensated_offset(road)) < 0.2


def test_following_a_clothoid_has_little_compensated_offset():
    assert abs(compensated_offset(clothoid(80.0))) < 1.0


@pytest.mark.parametrize("speed", [8.0, 12.0, 20.0])
def test_a_lane_change_on_a_straight_road_is_offset_by_its_width(speed):
    assert compensated_offset(lane_change(3.5, 5.0 * speed, speed)) == pytest.approx(3.5, abs=0.05)


@pytest.mark.parametrize("radius", [1000.0, -600.0])
def test_most_of_a_lane_change_shows_on_a_gentle_bend_too(radius):
    assert compensated_offset(lane_change(3.5, 50.0, 10.0, radius=radius)) > 1.5


def test_a_nudge_and_its_way_back_is_offset_by_its_peak():
    out_and_back = straight()
    out_and_back[:, 1] = 0.6 * np.sin(np.pi * np.clip(out_and_back[:, 0] / 50.0, 0, 1)) ** 2
    out_and_back[:, 2] = np.gradient(out_and_back[:, 1], out_and_back[:, 0])

    assert compensated_offset(out_and_back) == pytest.approx(0.6, abs=0.05)


@given(st.floats(30, 300), st.floats(10, 60), st.floats(4, 20))
def test_the_mirrored_path_is_offset_to_the_other_side(radius, half, speed):
    path = s_curve(radius, half, speed)

    assert compensated_offset(mirrored(path)) == pytest.approx(-compensated_offset(path), abs=1e-6)
