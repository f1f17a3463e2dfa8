"""Held-out groups of drives."""

from collections import Counter

import pytest
from curating import entry
from hypothesis import given
from hypothesis import strategies as st

from touge.contract.recipe import Split
from touge.curation.places import Position
from touge.curation.split import Unit, assign, groups, stratum

positions = st.builds(Position, st.just("map"), st.floats(0.0, 2000.0), st.just(0.0), st.floats(-0.2, 0.2))
windows = st.builds(
    entry,
    drive=st.sampled_from("abcdefgh"),
    t0_s=st.floats(0.0, 100.0),
    kind=st.sampled_from(["curve", "straight", "stop"]),
    direction=st.sampled_from(["left", "right"]),
    place=st.none() | st.sampled_from(["pass", "town"]),
    position=st.none() | positions,
)
data_sets = st.lists(windows, min_size=1, max_size=30)
splits = st.tuples(st.floats(0.0, 0.45), st.floats(0.0, 0.45)).map(lambda two: Split(validation=two[0], test=two[1]))


def units(*sizes: int, kind: str = "straight none") -> list[Unit]:
    return [Unit(f"u{number:03}", (f"u{number:03}",), {kind: size}) for number, size in enumerate(sizes)]


def where(entries, chosen, held):
    """Return the split of each drive."""
    by_drive = {drive: chosen[unit.name] for unit in held for drive in unit.drives}
    return {one.drive: by_drive[one.drive] for one in entries}


@given(data_sets, splits, st.integers(0, 5))
def test_no_place_is_on_two_sides(entries, split, seed):
    held = groups(entries, by_place=True)
    side = where(entries, assign(held, split, seed), held)

    for place in {one.place for one in entries} - {None}:
        assert len({side[one.drive] for one in entries if one.place == place}) == 1
    for one in entries:
        for other in entries:
            if one.position and other.position and abs(one.position.x - other.position.x) < 50.0:
                assert side[one.drive] == side[other.drive]


@given(data_sets)
def test_every_drive_is_in_one_group_and_every_window_is_counted(entries):
    held = groups(entries, by_place=True)

    assert sorted(drive for unit in held for drive in unit.drives) == sorted({one.drive for one in entries})
    assert sum(unit.size for unit in held) == len(entries)


@given(data_sets, splits, st.randoms())
def test_the_order_of_rows_does_not_matter(entries, split, random):
    shuffled = entries.copy()
    random.shuffle(shuffled)
    first, second = groups(entries, by_place=True), groups(shuffled, by_place=True)

    assert first == second
    assert assign(first, split, 0) == assign(second, split, 0)


@given(st.lists(st.integers(1, 30), min_size=2, max_size=20), splits, st.integers(0, 5))
def test_nothing_that_is_wanted_stays_empty_while_groups_last(sizes, split, seed):
    sides = set(assign(units(*sizes), split, seed).values())

    wanted = ["train"] + ["test"] * (split.test > 0) + ["validation"] * (split.validation > 0)
    assert set(wanted[: len(sizes)]) <= sides <= set(wanted)


def test_two_groups_are_trained_on_and_tested_even_where_validation_wants_more():
    chosen = assign(units(95, 3), Split(validation=0.3, test=0.1), 0)

    assert chosen == {"u000": "train", "u001": "test"}


def test_the_shares_are_reached():
    sides = Counter(assign(units(*[10] * 200), Split(validation=0.1, test=0.2), 0).values())

    assert sides == {"train": 140, "test": 40, "validation": 20}


def test_the_shares_of_windows_are_reached_where_groups_differ_in_size():
    held = units(*range(1, 101))
    chosen = assign(held, Split(validation=0.1, test=0.2), 0)
    sizes = Counter()
    for unit in held:
        sizes[chosen[unit.name]] += unit.size

    assert pytest.approx(sizes, abs=3) == {"train": 3535, "test": 1010, "validation": 505}


def test_every_split_has_its_share_of_left_and_right():
    held = [
        Unit(f"{side}{number}", (f"{side}{number}",), {f"curve {side}": 10})
        for side in ("left", "right")
        for number in range(50)
    ]
    chosen = assign(held, Split(validation=0.1, test=0.2), 0)

    found = Counter((unit.name.rstrip("0123456789"), chosen[unit.name]) for unit in held)
    assert found["left", "test"] == found["right", "test"] == 10
    assert found["left", "validation"] == found["right", "validation"] == 5


def test_another_seed_is_another_split():
    held = units(*[10] * 50)

    assert assign(held, Split(), 0) != assign(held, Split(), 1)


def test_places_hold_drives_together_only_where_asked():
    entries = [entry(drive, place="pass") for drive in "abc"]

    assert [unit.drives for unit in groups(entries, by_place=True)] == [("a", "b", "c")]
    assert [unit.drives for unit in groups(entries, by_place=False)] == [("a",), ("b",), ("c",)]


def test_the_same_picture_is_the_same_drive_under_another_name():
    entries = [entry("a", picture=b"same"), entry("b", picture=b"same"), entry("c")]

    assert [unit.drives for unit in groups(entries, by_place=False)] == [("a", "b"), ("c",)]


def test_windows_without_a_picture_do_not_hang_together():
    assert len(groups([entry("a", picture=b""), entry("b", picture=b"")], by_place=True)) == 2


def test_a_chain_of_places_is_one_group():
    entries = [entry("a", 0, place="p"), entry("b", 0, place="p"), entry("b", 1, place="q"), entry("c", 0, place="q")]

    assert [unit.drives for unit in groups(entries, by_place=True)] == [("a", "b", "c")]


def test_a_name_holds_drives_together_that_have_positions_too():
    far = [Position("map", x, 0.0, 0.0) for x in (0.0, 9000.0)]
    entries = [entry(drive, place="pass", position=here) for drive, here in zip("ab", far, strict=True)]

    assert len(groups(entries, by_place=True)) == 1


@pytest.mark.parametrize(
    ("kind", "expected"), [("curve", "curve left"), ("straight", "straight none"), ("stop", "other"), ("turn", "other")]
)
def test_strata_are_curves_by_side_straights_and_the_rest(kind, expected):
    assert stratum(entry(kind=kind)) == expected
