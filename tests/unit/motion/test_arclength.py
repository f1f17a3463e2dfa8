"""A trajectory over arc length."""

import numpy as np
import pytest
from roads import arc, driven, straight

from touge.motion.arclength import common_length, profile, track


def test_the_arc_length_begins_at_the_ego():
    path = track(straight(10.0))

    assert path.s[0] == 0.0
    assert path.length == pytest.approx(64.0)


def test_the_heading_is_unwrapped_through_a_full_circle():
    path = track(arc(6.0, 8.0))

    assert path.heading[-1] == pytest.approx(51.2 / 6.0)


def test_the_heading_is_held_while_the_vehicle_stands():
    future = driven(np.zeros_like, lambda t: np.where(t < 3.0, 8.0, 0.0))
    future[40:, 2] += np.linspace(0.0, 0.5, 24)

    assert np.abs(track(future).heading).max() == 0.0


def test_heading_and_position_stay_at_the_end_beyond_it():
    path = track(arc(50.0))

    assert path.heading_at(1000.0) == pytest.approx(64.0 / 50.0)
    assert path.position_at(1000.0) == pytest.approx(path.xy[-1])


def test_the_heading_change_between_two_arc_lengths_is_that_of_the_circle():
    assert track(arc(-80.0)).heading_change(10.0, 50.0) == pytest.approx(-0.5, rel=1e-3)


def test_an_arc_has_its_curvature_everywhere_also_at_the_ends():
    bend = profile(track(arc(75.0, 13.0)))

    assert bend.curvature == pytest.approx(np.full_like(bend.s, 1 / 75.0), rel=1e-3)


def test_both_ends_of_the_path_are_samples_about_one_metre_apart():
    bend = profile(track(straight(9.9)))

    assert bend.s[-1] == pytest.approx(63.36)
    assert np.diff(bend.s) == pytest.approx(np.full(63, 63.36 / 63))


def test_smoothing_spreads_a_step_in_heading_over_five_metres():
    future = straight(10.0)
    future[30:, 2] = 0.1

    bend = profile(track(future))

    assert bend.curvature.max() == pytest.approx(0.1 / 5.0, rel=0.05)
    assert bend.heading[-1] == pytest.approx(0.1)


def test_the_speed_of_a_sample_is_that_of_the_step_that_covers_it():
    bend = profile(track(driven(np.zeros_like, lambda t: np.where(t < 3.2, 10.0, 5.0))))

    assert bend.speed[10] == pytest.approx(10.0)
    assert bend.speed[40] == pytest.approx(5.0)


def test_a_vehicle_that_stands_has_no_curvature():
    bend = profile(track(np.zeros((64, 3))))

    assert not bend.curvature.any()


def test_two_paths_are_compared_up_to_the_end_of_the_shorter():
    assert common_length(track(straight(10.0)), track(straight(4.0))) == pytest.approx(25.6)


@pytest.mark.parametrize("wrong", [np.zeros((64, 2)), np.zeros((0, 3)), np.full((64, 3), np.nan)])
def test_what_is_no_trajectory_is_refused_with_its_shape(wrong):
    with pytest.raises(ValueError, match="expected finite poses"):
        track(wrong)
