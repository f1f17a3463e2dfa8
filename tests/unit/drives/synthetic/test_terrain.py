"""From world coordinates to road coordinates."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from touge.drives.synthetic.road import bend, centreline, extended, straight
from touge.drives.synthetic.terrain import OFF_MAP, stretch

ROAD = extended(centreline([*straight(20), *bend(15, 1.5), *straight(10), *bend(40, -1.2)]), 60, 300)
MAP = stretch(ROAD, 20.0, 320.0)


def located(x: float, y: float) -> tuple[float, float]:
    from_corner = np.array([x, y]) - MAP.corner
    found = MAP.locate(*(np.array([value], np.float32) for value in from_corner))
    return float(found.s[0]), float(found.d[0])


@given(st.floats(30, 300), st.floats(-10, 10))
@settings(max_examples=200)
def test_a_point_beside_the_road_is_found_again(s, d):
    found_s, found_d = located(*ROAD.at(np.array([s]), np.array([d]))[0])

    assert found_d == pytest.approx(d, abs=0.1)
    assert found_s == pytest.approx(s, abs=1.0)


def test_a_point_far_away_is_off_the_map():
    assert abs(located(30.0, -200.0)[1]) > OFF_MAP / 2


def test_only_the_stretch_around_the_vehicle_is_held():
    long = centreline(straight(20_000))

    assert stretch(long, 9_960.0, 10_260.0).nearest.size < 40_000


def test_a_road_that_comes_back_far_away_does_not_show():
    loop = centreline([*straight(400), *bend(40, math.pi), *straight(400)])
    here = stretch(loop, 10.0, 310.0)

    found = here.locate(*(np.array([v], np.float32) for v in np.array([100.0, 0.0]) - here.corner))
    assert found.s[0] == pytest.approx(100, abs=0.1)
