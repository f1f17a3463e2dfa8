"""Cells of a map with a heading."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touge.contract.errors import DataError
from touge.curation.leakage import NEAR_M, NEAR_RAD
from touge.curation.places import CELL_M, MARGIN_M, MARGIN_RAD, SECTORS, Position

metres = st.floats(-1e6, 1e6)
headings = st.floats(-10.0, 10.0)


def note(**changes):
    return {"position": {"frame": "map", "x": 1.0, "y": 2.0, "heading": 0.5} | changes}


def test_what_counts_as_a_leak_is_well_within_what_hangs_together():
    assert MARGIN_M >= 5 * NEAR_M
    assert MARGIN_RAD >= NEAR_RAD


@given(metres, metres, headings, st.floats(-1.0, 1.0), st.floats(-1.0, 1.0), st.floats(-1.0, 1.0))
def test_two_windows_within_the_margins_have_a_key_in_common(x, y, heading, dx, dy, turn):
    here = Position("map", x, y, heading)
    there = Position("map", x + dx * MARGIN_M * 0.999, y + dy * MARGIN_M * 0.999, heading + turn * MARGIN_RAD * 0.999)

    assert set(here.keys()) & set(there.keys())


@given(metres, metres, headings, st.floats(0.0, math.tau))
def test_two_windows_far_apart_have_no_key_in_common(x, y, heading, way):
    far = 2 * (MARGIN_M + CELL_M)
    there = Position("map", x + far * math.cos(way), y + far * math.sin(way), heading)

    assert not set(Position("map", x, y, heading).keys()) & set(there.keys())


@given(metres, metres, headings)
def test_the_way_back_is_another_place(x, y, heading):
    assert not set(Position("map", x, y, heading).keys()) & set(Position("map", x, y, heading + math.pi).keys())


def test_two_maps_have_no_place_in_common():
    assert not set(Position("one", 1.0, 2.0, 0.5).keys()) & set(Position("other", 1.0, 2.0, 0.5).keys())


@given(metres, metres, headings)
def test_a_window_hangs_on_its_own_cell(x, y, heading):
    here = Position("map", x, y, heading)
    _, *own = here.cell.split("/")

    assert ("map", *map(int, own)) in set(here.keys())
    assert 0 <= int(own[2]) < SECTORS


def test_a_position_is_read_from_the_notes():
    assert Position.of(note(), "a@1") == Position("map", 1.0, 2.0, 0.5)


def test_notes_without_a_position_give_none():
    assert Position.of({"country": "JP"}, "a@1") is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (note(x="far"), "x: given 'far'"),
        (note(heading=math.nan), "heading: given nan"),
        (note(yaw=0.1), "yaw: unknown key"),
        ({"position": [1.0, 2.0]}, "expected a mapping"),
        ({"position": {"frame": "map"}}, "heading: missing"),
    ],
)
def test_a_wrong_position_names_its_row(wrong, said):
    with pytest.raises(DataError, match=r"a@1: notes\.position: ") as error:
        Position.of(wrong, "a@1")

    assert said in str(error.value)
