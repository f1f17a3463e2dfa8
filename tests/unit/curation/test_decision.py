"""Where every window goes."""

import math

import pytest
from curating import entry
from hypothesis import given
from hypothesis import strategies as st

from touge.contract.errors import DataError
from touge.contract.recipe import Balance, Split
from touge.curation.blocks import block_of
from touge.curation.decision import AT_A_CUT, SEEN_IN_TRAINING, decide
from touge.curation.leakage import prove
from touge.curation.places import Position


def sides(decision):
    return {split for _, split in decision.entries}


def one_drive(seconds: int, *, speed: float | None = None, turn: float = 0.0):
    """Return a window a second; with a speed there are positions, on a circle where it turns (radians a second)."""

    def position(t: float) -> Position | None:
        if speed is None:
            return None
        if not turn:
            return Position("map", speed * t, 0.0, 0.0)
        return Position("map", speed / turn * math.sin(turn * t), -speed / turn * math.cos(turn * t), turn * t)

    return [entry("a", t, position=position(float(t))) for t in range(seconds)]


def test_places_are_held_out_whole():
    entries = [entry(drive, t, place=place) for drive, place in zip("abcdef", "ppqqrr", strict=True) for t in range(9)]
    decision = decide(entries, Split(), 0)

    assert (decision.unit, decision.units) == ("place", 3)
    assert sides(decision) == {"train", "validation", "test"}
    assert len(decision.entries) == len(entries)
    for one, split in decision.entries:
        assert {name for other, name in decision.entries if other.place == one.place} == {split}


def test_drives_are_held_out_where_the_recipe_leaves_places_alone():
    decision = decide([entry(drive, t) for drive in "abcdef" for t in range(9)], Split(by=("drive",)), 0)

    assert (decision.unit, decision.units) == ("drive", 6)


def test_one_single_drive_is_cut_in_blocks_and_what_lies_at_a_cut_is_named():
    entries = one_drive(600)
    decision = decide(entries, Split(), 0)

    assert (decision.unit, decision.units) == ("block_60s", 10)
    assert sides(decision) == {"train", "validation", "test"}
    assert set(decision.left_out.values()) == {AT_A_CUT}
    assert {one.id for one, _ in decision.entries} | set(decision.left_out) == {one.id for one in entries}
    assert len(decision.entries) + len(decision.left_out) == len(entries)


def test_a_block_is_on_one_side():
    decision = decide(one_drive(600), Split(), 0)
    found = {}
    for one, split in decision.entries:
        found.setdefault(block_of(one), set()).add(split)

    assert all(len(names) == 1 for names in found.values())


def test_drives_that_all_share_one_place_are_cut_in_blocks_too():
    entries = [entry(drive, t, place="pass") for drive in "abc" for t in range(240)]

    assert decide(entries, Split(), 0).unit == "block_60s"


def test_a_vehicle_that_waits_at_a_cut_is_not_tested_where_it_was_trained():
    entries = one_drive(600, speed=0.0)

    with pytest.raises(DataError, match="none is left that training does not see"):
        decide(entries, Split(), 0)


@given(st.floats(0.01, 0.2), st.integers(0, 3))
def test_what_is_left_of_a_drive_in_circles_has_no_leak(turn, seed):
    entries = one_drive(600, speed=8.0, turn=turn)
    try:
        decision = decide(entries, Split(), seed)
    except DataError:
        return  # every block shows the same round

    assert prove(decision.entries, decision.unit).verdict == "proved"
    assert len(decision.entries) + len(decision.left_out) == len(entries)


def test_a_road_driven_again_is_left_out_of_the_test_and_named():
    there = one_drive(300, speed=10.0)
    again = [entry("a", one.t0_us / 1e6 + 300, position=one.position) for one in there[:90]]
    decision = decide([*there, *again], Split(), 1)

    assert SEEN_IN_TRAINING in decision.left_out.values()
    assert prove(decision.entries, decision.unit).verdict == "proved"


def test_a_drive_that_was_copied_is_not_tested_on_its_copy():
    entries = [entry(drive, t, picture=t.to_bytes(2)) for drive in "ab" for t in range(240)]
    decision = decide(entries, Split(), 0)

    assert SEEN_IN_TRAINING in decision.left_out.values()
    trained = {one.picture for one, split in decision.entries if split == "train"}
    assert not trained & {one.picture for one, split in decision.entries if split != "train"}


@pytest.mark.parametrize("split", [Split(), Split(validation=0.5, test=0.0), Split(validation=0.0, test=0.2)])
def test_too_little_to_hold_anything_out_is_an_error_that_says_what_to_do(split):
    with pytest.raises(DataError, match=r"1 drive\(s\) hang together .* 1 block\(s\) of 60 s.*split.test=0"):
        decide(one_drive(30), split, 0)


def test_a_single_drive_is_all_trained_on_where_nothing_is_to_be_held_out():
    decision = decide(one_drive(30), Split(validation=0.0, test=0.0), 0)

    assert sides(decision) == {"train"}
    assert len(decision.entries) == 30


def test_a_single_drive_is_cut_for_validation_alone():
    assert sides(decide(one_drive(300), Split(validation=0.2, test=0.0), 0)) == {"train", "validation"}


@given(st.lists(st.sampled_from(["curve", "straight", "stop"]), min_size=20, max_size=60), st.floats(0.05, 0.95))
def test_weights_reach_the_wanted_share_and_only_in_training(kinds, share):
    entries = [entry(drive, t, kind) for drive in "abcd" for t, kind in enumerate(kinds)]
    decision = decide(entries, Split(), 0)
    weight = decision.weights(Balance(straight=share))

    assert {weight(one, split) for one, split in decision.entries if split != "train"} == {1.0}
    trained = [(one.kind == "straight", weight(one, split)) for one, split in decision.entries if split == "train"]
    straight, total = sum(w for is_straight, w in trained if is_straight), sum(w for _, w in trained)
    if 0 < sum(is_straight for is_straight, _ in trained) < len(trained):
        assert straight / total == pytest.approx(share)
    else:
        assert {w for _, w in trained} == {1.0}
