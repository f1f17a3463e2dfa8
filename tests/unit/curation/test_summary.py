"""The page about a data set."""

import re

import pytest
from curating import entry, painted

from touge.contract.plan import InventoryRef
from touge.contract.recipe import Balance, Image, Split
from touge.contract.sample import Sample
from touge.curation.account import DriveAccount
from touge.curation.decision import AT_A_CUT, SEEN_IN_TRAINING, Decision, decide
from touge.curation.leakage import prove
from touge.curation.pictures import Picture
from touge.curation.places import Position
from touge.curation.quality import PictureReason
from touge.curation.report import Curation, cells, held_out, mix, sources, totals, with_splits
from touge.curation.summary import REASONS, examples, page
from touge.motion.bounds import Reason

MIXED = [
    entry(drive, t, kind, direction, radius_band="60-100" if kind == "curve" else "none")
    for drive in ("a", "b", "<c>")
    for t, (kind, direction) in enumerate([("curve", "left"), ("curve", "right"), ("straight", "none")] * 2)
]


def report(entries=MIXED, rejected: dict[str, int] | None = None, split: Split | None = None, **changes) -> Curation:
    split = split or Split()
    decision = decide(entries, split, 0)
    windows = {one.drive: sum(other.drive == one.drive for other in entries) for one in entries}
    lost = rejected or {}
    drives = with_splits(
        [
            DriveAccount(drive=name, source=0, windows=count + sum(lost.values()), kept=count, rejected=lost)
            for name, count in windows.items()
        ],
        decision,
    )
    fields = {
        "labels": "jp-2026.1",
        "tainted": False,
        "contradictions": 0,
        "totals": totals(drives, decision),
        "cells": cells(decision),
        "reasoning": sources(decision),
        "held_out": held_out(decision, split),
        "mix": mix(decision, Balance()),
        "leakage": prove(decision.entries, decision.unit),
        "inputs": (InventoryRef(uri="file:///drives", digest="0" * 64, objects=3, size=10**7),),
        "left_out": ({"other_region": 4},),
        "drives": drives,
    }
    return Curation(**fields | changes)


def test_the_page_is_self_contained():
    html = page(report(), [])

    assert html.startswith("<!doctype html>")
    assert not re.search(r"(src|href)=\"(?!data:)|url\(|@import", html)


def test_names_are_escaped():
    html = page(report(), [])

    assert "&lt;c&gt;" in html
    assert "<c>" not in html


def test_every_reason_is_told_with_its_count_and_its_meaning():
    html = page(report(rejected={"gap": 2, "clock_skew": 1}), [])

    assert "27 windows came in;" in html
    assert "9 were rejected, each with a reason" in " ".join(html.split())
    assert "poses further apart than 0.3 s" in html
    assert "the camera&#39;s clock does not fit the poses&#39;" in html


@pytest.mark.parametrize("reason", [*Reason, *PictureReason, AT_A_CUT, SEEN_IN_TRAINING])
def test_every_reason_has_words(reason):
    assert REASONS[reason]


def test_a_tainted_data_set_is_warned_of():
    assert "A model of this data is never promoted" in page(report(tainted=True, contradictions=3), [])
    assert "Tainted" not in page(report(), [])


def test_what_is_unknown_is_not_called_proved():
    on_a_map = [
        entry(drive, t, position=Position("map", 1000.0 * number, 10.0 * t, 0.0))
        for number, drive in enumerate("abc")
        for t in range(5)
    ]

    assert "proved by position" in page(report(on_a_map), [])
    assert "proved by position" not in page(report(), [])


def test_drives_that_were_left_out_are_told():
    assert "4 other region" in page(report(), [])


def test_windows_at_a_cut_are_told():
    assert "at a cut" in page(report([entry("a", t) for t in range(300)]), [])


def test_one_window_of_each_kind_and_side_is_shown():
    chosen = examples([(one, "train") for one in MIXED])
    shown = {(one.kind, one.direction) for one in MIXED if one.id in chosen}

    assert len(chosen) == 3
    assert shown == {("curve", "left"), ("curve", "right"), ("straight", "none")}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"text": "左カーブ <b>", "language": "ja", "source": "dataset"}, "左カーブ &lt;b&gt;"),
        (None, "left to the base model"),
    ],
)
def test_an_example_shows_frame_path_and_words(words, told, rows):
    label = {"config": "jp-2026.1", "kind": "curve", "direction": "left", "radius_band": "60-100"}
    sample = Sample.model_validate(rows.add("a", 2_000_000, reasoning=words, label=label))
    frame = Picture.of(painted(0), Image(min_pixels=2048, max_pixels=2048)).jpeg
    html = page(report(), [(sample, frame)])

    assert "data:image/jpeg;base64," in html
    assert '<svg class="left"' in html
    assert told in html


def test_an_example_without_a_frame_says_so(rows):
    assert "<p>no frame</p>" in page(report(), [(Sample.model_validate(rows.add("a", 2_000_000)), None)])


def test_a_data_set_of_one_window_has_a_page():
    assert "windows of 1 drives" in page(report([entry("a", 0)], split=Split(validation=0.0, test=0.0)), [])


def test_windows_that_the_split_leaves_out_count_as_rejected():
    decision = Decision(
        entries=((entry("a", 0), "train"),),
        unit="block_60s",
        units=2,
        left_out={"a@1": "at_a_cut", "b@c@2": "at_a_cut"},
    )
    accounts = [
        DriveAccount(drive="a", source=0, windows=3, kept=2, rejected={"gap": 1}),
        DriveAccount(drive="b@c", source=0, windows=1, kept=1),
    ]
    found = with_splits(accounts, decision)

    assert [(drive.kept, drive.rejected, drive.splits) for drive in found] == [
        (1, {"gap": 1, "at_a_cut": 1}, ("train",)),
        (0, {"at_a_cut": 1}, ()),
    ]
    assert totals(found, decision).rejected == {"at_a_cut": 2, "gap": 1}


def test_the_mix_tells_rows_and_weights_apart():
    found = mix(
        decide(
            [entry(drive, t, kind) for drive in "abc" for t, kind in enumerate(["curve"] * 3 + ["straight"])],
            Split(),
            0,
        ),
        Balance(straight=0.5),
    )

    assert (found.wanted, found.counted, found.weighed, found.straight_weight) == (0.5, 0.25, 0.5, 3.0)


def test_cells_hold_every_window():
    found = report()

    assert sum(cell.windows for cell in found.cells) == found.totals.kept == len(MIXED)
