"""What came in, what went out and why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from touge.curation.account import DriveAccount, Ledger, ShardAccount, reasons
from touge.curation.quality import Rejection
from touge.curation.samples import Outcome

KEPT = object()  # the ledger asks whether there is a sample, never what is in it
outcomes = st.builds(
    lambda drive, t0_us, found: Outcome(drive, t0_us, None if found else KEPT, tuple(map(Rejection, found))),
    st.sampled_from("abc"),
    st.integers(0, 10**9),
    st.lists(st.sampled_from(["gap", "jerk", "black_frames"]), max_size=3),
)


def account(found, source: int = 0) -> ShardAccount:
    ledger = Ledger()
    for outcome in found:
        ledger.add(source, outcome)
    return ledger.account()


@given(st.lists(outcomes))
def test_what_came_in_is_what_was_kept_and_what_was_rejected(found):
    drives = account(found).drives

    assert sum(drive.windows for drive in drives) == len(found)
    assert sum(drive.kept + sum(drive.rejected.values()) for drive in drives) == len(found)


@given(st.lists(outcomes), st.randoms())
def test_the_order_of_windows_does_not_matter(found, random):
    shuffled = found.copy()
    random.shuffle(shuffled)

    assert account(found) == account(shuffled)


def test_a_window_counts_under_its_first_reason():
    (drive,) = account([Outcome("a", 0, None, (Rejection("gap"), Rejection("jerk")))]).drives

    assert drive.rejected == {"gap": 1}


def test_a_drive_without_a_window_is_listed_with_what_its_reader_left_out():
    ledger = Ledger()
    ledger.open(0, "short", {"repeated_fixes": 3, "repeated_timestamps": 0})

    assert ledger.account().drives == (
        DriveAccount(drive="short", source=0, windows=0, kept=0, notes={"repeated_fixes": 3}),
    )


def test_what_a_reader_leaves_out_is_counted_by_source():
    ledger = Ledger()
    ledger.source({})
    ledger.source({"other_region": 4, "clip_is_invalid": 0})

    assert ledger.account().left_out == ({}, {"other_region": 4})


def test_a_drive_of_two_sources_is_counted_twice():
    ledger = Ledger()
    for source in (0, 1):
        ledger.add(source, Outcome("a", source, KEPT))

    assert [(drive.source, drive.kept) for drive in ledger.account().drives] == [(0, 1), (1, 1)]


def test_a_kept_contradiction_is_counted():
    (drive,) = account([Outcome("a", 0, KEPT, contradicts=True), Outcome("a", 1, KEPT)]).drives

    assert (drive.kept, drive.contradictions) == (2, 1)


def test_an_account_that_does_not_add_up_cannot_be_written():
    with pytest.raises(ValidationError, match="3 windows came in"):
        DriveAccount(drive="a", source=0, windows=3, kept=1, rejected={"gap": 1})


def test_reasons_are_added_over_drives_most_frequent_first():
    drives = [
        DriveAccount(drive="a", source=0, windows=3, kept=0, rejected={"gap": 1, "jerk": 2}),
        DriveAccount(drive="b", source=0, windows=5, kept=1, rejected={"gap": 4}),
    ]

    assert list(reasons(drives).items()) == [("gap", 5), ("jerk", 2)]
