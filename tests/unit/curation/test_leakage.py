"""Whether anything that was trained on is tested on."""

import json

import pytest
from curating import entry
from hypothesis import given
from hypothesis import strategies as st

from touge.contract.errors import DataError
from touge.contract.recipe import Split
from touge.curation.leakage import prove, seen_in_training
from touge.curation.places import Position
from touge.curation.split import assign, groups


def at(x: float, heading: float = 0.0, frame: str = "map", y: float = 0.0) -> Position:
    return Position(frame, x, y, heading)


def pair(trained: dict, held: dict):
    """Return one training window and one of the test."""
    return [(entry("a", **trained), "train"), (entry("b", **held), "test")]


def check(found, what: str):
    return next(check for check in found.checks if check.what == what)


def test_positions_in_one_frame_prove_that_nothing_leaks():
    found = prove(pair({"position": at(0.0)}, {"position": at(300.0)}), "place")

    assert found.verdict == "proved"
    assert found.nearest_m == 300.0
    assert "The nearest held-out window lies 300 m from a training window of like heading." in found.statements


@pytest.mark.parametrize(
    ("trained", "held"),
    [
        ({}, {}),
        ({"position": at(0.0)}, {}),
        ({}, {"position": at(0.0)}),
        ({"position": at(0.0, frame="one")}, {"position": at(0.0, frame="other")}),
    ],
    ids=["none", "held without", "trained without", "two maps"],
)
def test_without_positions_in_one_frame_leakage_is_unknown_and_it_is_said(trained, held):
    found = prove(pair(trained, held), "drive")

    assert found.verdict == "unknown"
    assert found.nearest_m is None
    assert check(found, "position").windows == 0
    assert "Whether a position is on both sides is unknown: no held-out window can be compared." in found.statements
    assert found.statements[-1].startswith("Unknown: ")


@pytest.mark.parametrize(
    ("trained", "held", "said"),
    [
        ({"picture": b"same"}, {"picture": b"same"}, "1 share a picture: b@0"),
        ({"place": "pass"}, {"place": "pass"}, "1 share a place: b@0"),
        ({"position": at(0.0)}, {"position": at(9.9)}, "1 share a position: b@0"),
        ({"position": at(0.0, 3.0)}, {"position": at(0.0, -3.0)}, "1 share a position: b@0"),
        ({"position": at(0.0, 0.1)}, {"position": at(0.0, 0.55)}, "1 share a position: b@0"),
    ],
)
def test_a_leak_is_an_error_that_names_the_window(trained, held, said):
    with pytest.raises(DataError, match="the split leaks") as error:
        prove(pair(trained, held), "drive")

    assert said in str(error.value)


def test_a_drive_on_two_sides_is_an_error():
    with pytest.raises(DataError, match="1 share a drive: a@5"):
        prove([(entry("a", 0), "train"), (entry("a", 5), "validation")], "drive")


@pytest.mark.parametrize("held", [at(10.0), at(0.0, 0.51), at(0.0, 3.1), at(0.0, frame="other")])
def test_another_road_is_no_leak(held):
    assert check(prove(pair({"position": at(0.0)}, {"position": held}), "place"), "position").leaks == 0


def test_validation_and_test_may_share_a_place():
    assigned = [
        (entry("a"), "train"),
        (entry("b", place="pass"), "validation"),
        (entry("c", place="pass"), "test"),
    ]

    assert check(prove(assigned, "place"), "place").leaks == 0


def test_blocks_may_share_drive_and_place_and_it_is_said():
    assigned = [
        (entry("a", 0, place="pass"), "train"),
        (entry("a", 90, place="pass"), "test"),
        (entry("b", 90, place="pass"), "test"),
    ]
    statements = prove(assigned, "block_60s").statements

    assert statements[0].startswith("All drives hang together, so each was cut into blocks of 60 s")
    assert "1 of 2 held-out windows share a drive with training." in statements
    assert "2 of 2 held-out windows share a place with training." in statements
    assert not [text for text in statements if text.startswith("No place")]


@pytest.mark.parametrize("shared", [{"picture": b"same"}, {"position": at(0.0)}])
def test_blocks_may_not_share_what_they_show(shared):
    with pytest.raises(DataError, match="the split leaks"):
        prove(pair(shared, shared), "block_60s")


def test_what_training_shows_is_found():
    assigned = [
        (entry("a", 0, picture=b"same", position=at(0.0)), "train"),
        (entry("b", 0, picture=b"same"), "test"),
        (entry("b", 1, position=at(5.0)), "validation"),
        (entry("b", 2, position=at(50.0)), "test"),
    ]

    assert seen_in_training(assigned) == {"b@0", "b@1000000"}


def test_where_nothing_is_held_out_it_is_said():
    assert prove([(entry("a"), "train")], "drive").statements[0] == "Nothing is held out."


positions = st.builds(at, st.floats(0.0, 300.0), st.floats(-4.0, 4.0), st.just("map"), st.floats(0.0, 40.0))


@given(st.lists(st.tuples(positions, st.booleans()), min_size=2, max_size=60))
def test_the_nearest_window_of_like_heading_is_found_among_any_number(windows):
    trained = [here for here, is_held in windows if not is_held]
    held = [here for here, is_held in windows if is_held]
    near = {
        number
        for number, one in enumerate(held)
        for other in trained
        if (one.x - other.x) ** 2 + (one.y - other.y) ** 2 < 100.0
        and abs((one.heading - other.heading + 3.141592653589793) % 6.283185307179586 - 3.141592653589793) <= 0.5
    }
    assigned = [(entry("t", number, position=here), "train") for number, here in enumerate(trained)]
    assigned += [(entry("h", number, position=here), "test") for number, here in enumerate(held)]

    assert seen_in_training(assigned) == {f"h@{number * 1_000_000}" for number in near}


windows = st.builds(
    entry,
    drive=st.sampled_from("abcdef"),
    t0_s=st.integers(0, 10**6).map(float),
    place=st.none() | st.sampled_from(["pass", "town"]),
    position=positions,
)


@given(st.lists(windows, min_size=1, max_size=30, unique_by=lambda one: one.id), st.integers(0, 3))
def test_a_split_by_place_never_leaks(entries, seed):
    held = groups(entries, by_place=True)
    chosen = assign(held, Split(validation=0.3, test=0.3), seed)
    by_drive = {drive: chosen[unit.name] for unit in held for drive in unit.drives}

    assert prove([(one, by_drive[one.drive]) for one in entries], "place").verdict == "proved"


def test_the_document_names_its_schema_and_what_was_checked():
    document = json.loads(prove(pair({}, {}), "drive").to_json())

    assert document["schema"] == "touge.leakage/1"
    assert [check["what"] for check in document["checks"]] == ["drive", "picture", "place", "position"]
    assert document["checks"][0] == {"what": "drive", "windows": 1, "of": 1, "leaks": 0, "examples": []}
