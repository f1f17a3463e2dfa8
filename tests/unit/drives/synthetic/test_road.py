"""Road geometry."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from touge.drives.synthetic.road import STEP_M, along_path, bend, centreline, design_transition, extended, straight

RADII = st.floats(12, 500)
ANGLES = st.floats(0.1, 2.5) | st.floats(-2.5, -0.1)


@given(RADII, ANGLES)
def test_a_bend_turns_by_its_angle(radius, angle):
    road = centreline([*straight(10), *bend(radius, angle), *straight(10)])

    assert road.yaw[-1] == pytest.approx(angle, abs=0.05)


@given(RADII, ANGLES)
def test_a_bend_is_never_tighter_than_its_radius(radius, angle):
    assert np.abs(centreline(bend(radius, angle)).kappa).max() <= 1 / radius + 1e-9


@pytest.mark.parametrize(("radius", "metres"), [(15, 20), (60, 35), (150, 50), (280, 70), (460, 85)])
def test_transitions_are_those_of_the_road_structure_ordinance(radius, metres):
    assert design_transition(radius) == pytest.approx(metres)


def test_curvature_changes_steadily_through_a_transition():
    kappa = centreline(bend(100, 1.2)).kappa

    assert np.abs(np.diff(kappa)).max() <= 1 / 100 / 40 * STEP_M * 1.01


def test_a_left_bend_ends_on_the_left():
    assert centreline(bend(50, math.pi / 2)).xy[-1, 1] > 0


def test_an_arc_has_its_radius():
    road = centreline(bend(50, math.pi, transition=0.0))

    assert np.ptp(road.xy[:, 1]) == pytest.approx(100, abs=0.5)


def test_driving_back_turns_the_other_way():
    road = centreline([*straight(20), *bend(80, 1.0)])

    np.testing.assert_allclose(road.reversed().kappa, -road.kappa[::-1])
    np.testing.assert_array_equal(road.reversed().xy[0], road.xy[-1])


def test_a_positive_offset_is_to_the_left():
    road = centreline(straight(50))

    np.testing.assert_allclose(road.at(np.array([10.0]), np.array([1.75])), [[10.0, 1.75]])


def test_an_extended_road_goes_on_straight():
    road = extended(centreline(bend(60, 1.0)), 30, 40)

    assert road.kappa[:60] == pytest.approx(0)
    assert road.kappa[-80:] == pytest.approx(0)
    np.testing.assert_allclose(np.hypot(*np.diff(road.xy, axis=0).T), STEP_M, atol=1e-3)


def circle(radius: float, metres: float) -> np.ndarray:
    angle = np.arange(0, metres, 0.3) / radius
    return np.column_stack([radius * np.sin(angle), radius * (1 - np.cos(angle))])


def test_the_road_beside_a_driven_circle_is_a_circle():
    road, along = along_path(circle(50, 200), 1.75)

    inner = slice(20, -20)
    assert 1 / road.kappa[inner] == pytest.approx(51.75, rel=0.02)
    assert along[-1] == pytest.approx(200 * 51.75 / 50, rel=0.02)


def test_a_vehicle_keeps_its_offset_from_the_road_that_follows_it():
    driven = circle(80, 150)
    road, along = along_path(driven, 1.5)

    where = road.at(along, np.full(len(along), 1.5))
    assert np.hypot(*(where - driven).T)[30:-30].max() < 1.0


def test_noise_at_a_stop_does_not_become_a_road():
    rng = np.random.default_rng(0)
    waiting = rng.normal(0, 0.05, (500, 2))
    driven = np.vstack([waiting, np.column_stack([np.arange(0, 40, 0.5), np.zeros(80)])])

    road, _ = along_path(driven, 0.0)

    assert road.length == pytest.approx(39, abs=1.5)


def test_a_vehicle_that_never_moves_still_has_a_road():
    road, along = along_path(np.zeros((20, 2)), 1.5)

    assert np.isfinite(road.xy).all()
    np.testing.assert_array_equal(along, 0)
