"""Bends one by one."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from roads import arc, driven, mirrored, s_curve, straight

from touge.motion.lobes import largest, lobes


def test_a_curve_is_one_lobe_with_its_heading_change():
    (only,) = lobes(arc(100.0))

    assert (only.start, only.end) == (0.0, pytest.approx(64.0, rel=1e-3))
    assert only.change == pytest.approx(0.64)


def test_an_s_curve_has_a_lobe_to_each_side():
    first, second = lobes(s_curve(80.0, 32.0))

    assert first.change == pytest.approx(0.4, abs=0.02)
    assert second.change == pytest.approx(-0.4, abs=0.02)
    assert first.end == second.start == pytest.approx(32.0, abs=1.0)


def test_a_small_lobe_is_merged_into_its_neighbours():
    def wiggle(s):
        return np.where((s > 30) & (s < 33), -1 / 200, 1 / 100)

    assert len(lobes(driven(wiggle))) == 1


def test_a_lobe_above_the_smallest_is_kept():
    def dip(s):
        return np.where((s > 30) & (s < 38), -1 / 200, 1 / 100)

    assert [np.sign(lobe.change) for lobe in lobes(driven(dip))] == [1, -1, 1]


def test_a_small_lobe_at_the_beginning_joins_the_bend_that_follows():
    (only,) = lobes(s_curve(-400.0, 6.0, second=58.0))

    assert only.change > 0.1


def test_a_straight_line_is_one_lobe_of_no_size():
    (only,) = lobes(straight())

    assert only.change == 0.0


def test_the_largest_lobe_of_a_side_is_zero_where_none_bends_there():
    found = lobes(arc(100.0))

    assert largest(found, 1) == pytest.approx(0.64)
    assert largest(found, -1) == 0.0


@given(st.floats(30, 300), st.floats(10, 40), st.floats(5, 20))
def test_lobes_cover_the_path_and_add_up_to_its_heading_change(radius, half, speed):
    found = lobes(s_curve(radius, half, speed))

    assert found[0].start == 0.0
    assert found[-1].end == pytest.approx(6.4 * speed, rel=1e-3)
    assert all(one.end == other.start for one, other in pairwise(found))
    assert sum(lobe.change for lobe in found) == pytest.approx(s_curve(radius, half, speed)[-1, 2], abs=1e-9)


@given(st.floats(30, 300), st.floats(10, 40), st.floats(5, 20))
def test_the_mirrored_path_has_the_same_lobes_to_the_other_side(radius, half, speed):
    path = s_curve(radius, half, speed)

    assert [lobe.change for lobe in lobes(mirrored(path))] == [-lobe.change for lobe in lobes(path)]
