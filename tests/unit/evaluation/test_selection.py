"""How many windows of a drive are asked about."""

from collections import Counter

from touge.evaluation.selection import selected, spaced

from .worlds import samples

ROWS = [*samples(3), *samples(2, split="train")]


def test_without_a_bound_every_test_window_counts_and_no_other():
    assert selected(ROWS, None) == [row for row in ROWS if row.split == "test"]


def test_of_each_drive_and_bucket_so_many_count():
    found = Counter((row.drive, row.label.kind) for row in selected(ROWS, 1))

    assert found == {(f"test-{drive}", kind): 1 for drive in range(3) for kind in ("curve", "straight")}


def test_a_drive_with_fewer_gives_all_it_has():
    assert len(selected(ROWS, 3)) == 3 * (3 + 2)


def test_they_keep_their_order_and_do_not_depend_on_it():
    forward, backward = selected(ROWS, 2), selected(ROWS[::-1], 2)

    assert forward == backward[::-1]
    assert forward == [row for row in ROWS if row in forward]


def test_they_are_evenly_spaced():
    assert [spaced(range(12), most) for most in (1, 2, 3, 4)] == [[6], [3, 9], [2, 6, 10], [1, 4, 7, 10]]
