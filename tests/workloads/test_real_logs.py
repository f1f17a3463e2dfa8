"""Real vehicles' logs through both stages of curation, against the counts that were published with the data.

The published rule (examples/data/*/README.md): windows of 1.6 s and 6.4 s on a 10 Hz grid, a second apart; left and
right from 0.2 rad of heading change on, slow below 10 m of path, straight else. It is none of our definitions.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from curating import Curator, rows_of

from controller.resolve import located
from touge.contract.recipe import load_recipe
from touge.contract.sample import Sample
from touge.curation.windows import window_starts
from touge.evaluation.clusters import cluster
from touge.evaluation.statistics import MIN_CLUSTERS
from touge.motion.bounds import BOUNDS

ROOT = Path(__file__).parents[2]
DATA = ROOT / "examples" / "data"

#: Published counts of the parts that were published with some: left, right, straight.
PUBLISHED = {
    "round2_part2": {"left": 218, "right": 188, "straight": 376},
    "round2_part3": {"left": 26, "right": 31, "straight": 34},
    "round2_part4": {"left": 79, "right": 88, "straight": 37},
}
#: Published counts of the Japanese log: before any quality gate (interpolated across gaps), and behind one of 0.3 s.
JAPAN_UNGATED = {
    "traffic_light": {"left": 10, "straight": 47, "slow": 69},
    "perception_2d": {"straight": 12},
    "perception": {"straight": 15, "slow": 46},
    "localization": {"straight": 4, "slow": 16},
}
JAPAN_GATED = JAPAN_UNGATED | {"traffic_light": {"straight": 35, "slow": 56}}

#: By jp-2026.1, as the READMEs beside the data say: curves to the left, to the right, straights.
OURS = {
    "round2_part1": (39, 71, 66),
    "round2_part2": (285, 258, 137),
    "round2_part3": (27, 40, 6),
    "round2_part4": (89, 105, 4),
    "round2_part5": (0, 37, 250),
    "traffic_light": (0, 4, 29),
    "perception_2d": (3, 4, 1),
    "perception": (0, 0, 15),
    "localization": (0, 0, 4),
}

#: The published rule's edge, and how far two ways of integrating the same log lie apart at most; radians.
EDGE, INTEGRATION = 0.2, 0.005

pytestmark = pytest.mark.slow


def called(heading_change: float, path_length: float) -> str:
    """Name a window by the published rule."""
    if path_length < 10:
        return "slow"
    if abs(heading_change) < EDGE:
        return "straight"
    return "left" if heading_change > 0 else "right"


def counted(rows: list[dict[str, Any]]) -> Counter[str]:
    return Counter(called(row["features"]["heading_change"], row["features"]["path_length"]) for row in rows)


class Curated:
    """What came out of both stages, drive by drive."""

    def __init__(self, root: Path, section: dict[str, Any]) -> None:
        artifact = Curator(root).curate(section)
        self.report = json.loads(artifact.read("curation.json"))
        self.page = artifact.read("summary.html").decode()
        self.rows = rows_of(artifact)
        self.rejected = {drive["drive"]: drive["rejected"] for drive in self.report["drives"]}
        self.windows = {drive["drive"]: drive["windows"] for drive in self.report["drives"]}

    def of(self, drive: str) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["drive"] == drive]

    def side(self, split: str) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["split"] == split]


@pytest.fixture(scope="module")
def winding_road(tmp_path_factory) -> Curated:
    """Return the recipe's drives, curated as the recipe says."""
    recipe = located(load_recipe((ROOT / "jobs" / "winding-road.yaml").read_text()), ROOT)
    return Curated(tmp_path_factory.mktemp("winding-road"), recipe.curate.model_dump(mode="json"))


@pytest.fixture(scope="module")
def japan(tmp_path_factory) -> Curated:
    """Return the Japanese log, curated with nothing held out."""
    source = {
        "format": "table",
        "uri": f"file://{DATA}/tier4-japan/drives",
        "region": "JP",
        "timestamp": {"column": "t_s", "unit": "s"},
        "motion": {"kind": "positions", "x": "x", "y": "y", "z": "z", "quaternion": ["qx", "qy", "qz", "qw"]},
        "camera": {"render": "synthetic", "width": 128, "height": 64},
    }
    image = {"min_pixels": 8192, "max_pixels": 8192}
    section = {"drives": [source], "image": image, "split": {"validation": 0, "test": 0}}
    return Curated(tmp_path_factory.mktemp("japan"), section)


@pytest.mark.parametrize("part", PUBLISHED)
def test_curve_and_straight_counts_agree_with_the_published_ones(winding_road, part):
    rows = winding_road.of(part)
    found = counted(rows)
    at_the_edge = [row for row in rows if abs(abs(row["features"]["heading_change"]) - EDGE) < INTEGRATION]

    assert len(rows) == sum(PUBLISHED[part].values())
    assert {name: found[name] for name in PUBLISHED[part]} == pytest.approx(PUBLISHED[part], abs=2)
    assert all(abs(found[name] - count) <= len(at_the_edge) for name, count in PUBLISHED[part].items())


@pytest.mark.parametrize("part", PUBLISHED)
def test_integrated_as_the_published_counts_were_the_same_windows_count_exactly_the_same(part):
    """They sum rectangles that end at each sample; the reader integrates by the trapezoid rule."""
    stamps, angle, speed = np.loadtxt(
        DATA / "udacity-winding-road" / "drives" / f"{part}.csv", delimiter=",", skiprows=1
    ).T
    t_us = np.round(stamps / 1000).astype(np.int64)
    steps = np.diff(t_us, prepend=t_us[0]) / 1e6
    yaw, s = np.cumsum(speed * np.tan(angle / 14.8) / 2.85 * steps), np.cumsum(speed * steps)
    starts = window_starts(int(t_us[0]), int(t_us[-1]), 1.0)
    starts = starts[starts + 6_400_000 <= t_us[-1]]

    turned, driven = (np.interp(starts + 6_400_000, t_us, a) - np.interp(starts, t_us, a) for a in (yaw, s))

    assert Counter(map(called, turned, driven)) == PUBLISHED[part]


@pytest.mark.parametrize("drive", OURS)
def test_counts_by_our_definition_are_those_that_stand_beside_the_data(winding_road, japan, drive):
    labels = [row["label"] for row in winding_road.of(drive) + japan.of(drive)]
    curves = Counter(label["direction"] for label in labels if label["kind"] in {"curve", "s_curve"})

    assert (curves["left"], curves["right"], sum(label["kind"] == "straight" for label in labels)) == OURS[drive]


def test_of_the_winding_road_only_windows_whose_future_the_part_does_not_hold_are_rejected(winding_road):
    assert {reason for reasons in winding_road.rejected.values() for reason in reasons} == {"short_future"}
    assert all(reasons["short_future"] in {6, 7} for reasons in winding_road.rejected.values())


def test_the_winding_road_is_split_by_part(winding_road):
    split_of = {drive: {row["split"] for row in winding_road.of(drive)} for drive in winding_road.windows}

    assert split_of == {
        "round2_part1": {"train"},
        "round2_part2": {"test"},
        "round2_part3": {"validation"},
        "round2_part4": {"train"},
        "round2_part5": {"train"},
    }
    assert winding_road.report["leakage"]["verdict"] == "unknown"


def test_the_held_out_part_is_cut_into_blocks_enough_for_a_verdict(winding_road):
    clusters = cluster([Sample.model_validate(row) for row in winding_road.side("test")])

    assert clusters.kind == "block_60s"
    assert clusters.count >= MIN_CLUSTERS


@pytest.mark.parametrize("split", ["train", "test"])
def test_both_sides_hold_curves_to_both_sides_and_straights(winding_road, split):
    labels = [row["label"] for row in winding_road.side(split)]
    curves = Counter(label["direction"] for label in labels if label["kind"] in {"curve", "s_curve"})

    assert min(curves["left"], curves["right"], sum(label["kind"] == "straight" for label in labels)) >= 100


def test_every_row_says_that_its_frames_are_drawn(winding_road):
    assert {row["provenance"]["reader"] for row in winding_road.rows} == {
        "table; frames drawn along the driven path by the synthetic camera"
    }


@pytest.mark.parametrize("drive", JAPAN_UNGATED)
def test_interpolated_across_gaps_the_japanese_log_has_the_published_counts(drive):
    log = np.loadtxt(DATA / "tier4-japan" / "drives" / f"{drive}.csv", delimiter=",", skiprows=1)
    t, x, y, yaw = log[:, 0] - log[0, 0], log[:, 1], log[:, 2], np.unwrap(log[:, 8])
    grid = np.arange(0, t[-1], 0.1)
    x, y, yaw = (np.interp(grid, t, column) for column in (x, y, yaw))
    s = np.cumsum(np.hypot(np.diff(x, prepend=x[0]), np.diff(y, prepend=y[0])))
    starts = np.arange(16, len(grid) - 64, 10)

    assert Counter(map(called, yaw[starts + 64] - yaw[starts], s[starts + 64] - s[starts])) == JAPAN_UNGATED[drive]


@pytest.mark.parametrize("drive", JAPAN_GATED)
def test_of_the_japanese_log_no_curve_remains_by_the_published_rule(japan, drive):
    found = counted(japan.of(drive))
    found["slow"] += japan.rejected[drive].get("standstill", 0)

    assert {name: count for name, count in found.items() if count} == JAPAN_GATED[drive]


def test_the_gaps_of_the_japanese_log_are_rejected_counted_and_shown(japan):
    """35 of 126 windows, as published; the windows at the end whose future the log does not hold come on top."""
    rejected = {drive: reasons for drive, reasons in japan.rejected.items() if "gap" in reasons}

    assert list(rejected) == ["traffic_light"]
    assert rejected["traffic_light"]["gap"] == 35
    assert japan.windows["traffic_light"] - rejected["traffic_light"]["short_future"] == 126
    assert japan.report["totals"]["rejected"]["gap"] == 35
    assert "poses further apart than 0.3 s" in japan.page


def test_no_window_of_the_japanese_log_reaches_over_a_gap(japan):
    t_us = np.round(np.loadtxt(DATA / "tier4-japan/drives/traffic_light.csv", delimiter=",", skiprows=1)[:, 0] * 1e6)
    (gaps,) = np.nonzero(np.diff(t_us) > BOUNDS.gap_s * 1e6)

    assert len(gaps) == 4
    for row in japan.of("traffic_light"):
        first, last = row["t0_us"] - 1_500_000, row["t0_us"] + 6_400_000
        assert all(last <= t_us[gap] or first >= t_us[gap + 1] for gap in gaps)


def test_the_standstill_of_the_japanese_log_is_rejected_counted_and_shown(japan):
    standing = {drive: reasons["standstill"] for drive, reasons in japan.rejected.items() if "standstill" in reasons}

    assert standing == {"traffic_light": 36, "perception": 43, "localization": 13}
    assert japan.report["totals"]["rejected"]["standstill"] == 92
    assert "the vehicle stands throughout" in japan.page


def test_what_creeps_in_the_japanese_log_is_never_a_curve_or_a_straight(japan):
    slow = [row for row in japan.rows if row["features"]["path_length"] < 10]

    assert {row["label"]["kind"] for row in slow} == {"stop"}
    assert len(slow) + 92 == sum(counts.get("slow", 0) for counts in JAPAN_GATED.values())
