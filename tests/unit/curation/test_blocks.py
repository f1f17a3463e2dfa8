"""Cutting drives in time."""

import pytest
from curating import entry
from hypothesis import given
from hypothesis import strategies as st

from touge.curation.blocks import at_a_cut, block_of, blocks

TIMES = [float(second) for second in range(180)]
SIDES = st.lists(st.sampled_from(["train", "test", "validation"]), min_size=3, max_size=3)


def drive(name: str = "a", times: list[float] = TIMES):
    return [entry(name, time) for time in times]


def chosen_of(entries, sides, name: str = "a"):
    return dict(zip(sorted({block_of(one) for one in entries if one.drive == name}), sides, strict=True))


def test_a_drive_is_cut_every_sixty_seconds():
    assert [(unit.name, unit.size) for unit in blocks(drive())] == [
        ("a#00000000", 60),
        ("a#00000001", 60),
        ("a#00000002", 60),
    ]


def test_blocks_of_two_drives_are_apart():
    assert {unit.drives for unit in blocks([*drive("a"), *drive("b")])} == {("a",), ("b",)}


@given(SIDES)
def test_what_is_left_on_two_sides_lies_more_than_a_window_apart(sides):
    entries = drive()
    chosen = chosen_of(entries, sides)
    cut = at_a_cut(entries, chosen)
    left = [one for one in entries if one.id not in cut]

    apart = [
        abs(one.t0_us - other.t0_us) / 1e6
        for one in left
        for other in left
        if chosen[block_of(one)] != chosen[block_of(other)]
    ]
    assert min(apart, default=99.0) > 7.9


def test_between_blocks_of_one_side_nothing_is_lost():
    entries = drive()

    assert at_a_cut(entries, chosen_of(entries, ["test"] * 3)) == frozenset()


@pytest.mark.parametrize(("sides", "lost"), [(["train", "test", "test"], 8), (["train", "test", "train"], 16)])
def test_eight_seconds_are_lost_at_each_cut(sides, lost):
    entries = drive()

    assert len(at_a_cut(entries, chosen_of(entries, sides))) == lost


def test_nothing_is_lost_before_a_pause():
    entries = drive(times=[50.0, 55.0, 59.0, 130.0])

    assert at_a_cut(entries, chosen_of(entries, ["train", "test"])) == frozenset()


def test_times_before_zero_have_blocks_too():
    assert len(blocks(drive(times=[-90.0, -30.0, 30.0]))) == 3
