"""Roads of a style."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from touge.drives.synthetic.route import MOST_HEADING, Style, route

SEEDS = st.integers(0, 2**32)
STYLES = st.sampled_from(list(Style))


@given(STYLES, SEEDS)
@settings(max_examples=30)
def test_a_road_is_as_long_as_asked(style, seed):
    assert route(style, 400, np.random.default_rng(seed)).length >= 399


@given(STYLES, SEEDS)
@settings(max_examples=30)
def test_a_road_keeps_its_general_direction(style, seed):
    yaw = route(style, 800, np.random.default_rng(seed)).yaw

    assert np.abs(yaw).max() <= MOST_HEADING + np.radians(60)


def test_equal_seeds_make_equal_roads():
    first, second = (route(Style.MOUNTAIN, 500, np.random.default_rng(5)) for _ in range(2))

    np.testing.assert_array_equal(first.xy, second.xy)


@pytest.mark.parametrize("style", Style)
def test_roads_bend_to_both_sides(style):
    kappa = route(style, 5000, np.random.default_rng(1)).kappa

    assert kappa.max() > 0.001
    assert kappa.min() < -0.001


@pytest.mark.parametrize(
    ("style", "tightest", "widest"), [(Style.MOUNTAIN, 16, 30), (Style.CITY, 11, 15), (Style.ARTERIAL, 100, 250)]
)
def test_the_tightest_bend_is_that_of_the_style(style, tightest, widest):
    kappa = route(style, 5000, np.random.default_rng(2)).kappa

    assert tightest * 0.99 <= 1 / np.abs(kappa).max() <= widest * 1.01
