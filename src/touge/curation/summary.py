"""The account of a data set as one self-contained page, summary.html, for people. Words and shapes, no decisions."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from touge.contract.sample import Sample, SplitName
from touge.curation.index import Entry
from touge.curation.report import Curation
from touge.motion.labels import RADIUS_EDGES, Direction, Kind

SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
#: Drives that the page lists; curation.json has all.
_LISTED = 40
#: Kinds and sides of which the page shows an example, in this order.
_SHOWN = (
    (Kind.CURVE, Direction.LEFT),
    (Kind.CURVE, Direction.RIGHT),
    (Kind.S_CURVE, Direction.LEFT),
    (Kind.S_CURVE, Direction.RIGHT),
    (Kind.TURN, Direction.LEFT),
    (Kind.TURN, Direction.RIGHT),
    (Kind.LANE_CHANGE, Direction.LEFT),
    (Kind.STRAIGHT, Direction.NONE),
    (Kind.STOP, Direction.NONE),
)

REASONS = {
    "short_history": "less than 1.5 s of poses before t0",
    "short_future": "less than 6.4 s of poses behind t0",
    "gap": "poses further apart than 0.3 s",
    "position_jump": "a step longer than speed and time allow",
    "speed_mismatch": "speed of the positions against the reported speed",
    "yaw_mismatch": "heading against the course driven",
    "curvature": "tighter than a radius of 5 m",
    "acceleration": "beyond the model's 9.8 m/s²",
    "jerk": "beyond 8.37 m/s³",
    "standstill": "the vehicle stands throughout",
    "non_finite": "a number is missing",
    "missing_camera": "the drive lacks a camera of the recipe",
    "missing_frames": "no frame near t0−0.3 s … t0",
    "black_frames": "a frame shows nothing",
    "frozen_frames": "the picture stands still while the vehicle moves",
    "clock_skew": "the camera's clock does not fit the poses'",
    "contradiction": "the words contradict the future",
    "at_a_cut": "reaches over a cut between two splits",
    "seen_in_training": "held out, but a training window shows the same road or picture",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: name, count, share of the longest, and what it means."""

    name: str
    windows: int
    share: float
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """One example: the row, its frame as a data URI, its path as SVG points."""

    sample: Sample
    frame: str | None
    path: str
    width: float
    height: float


def examples(entries: Sequence[tuple[Entry, SplitName]]) -> frozenset[str]:
    """Return the ids of one window of each kind and side, from the middle of the list."""
    found: dict[tuple[str, str], list[str]] = {}
    for entry, _ in entries:
        found.setdefault((entry.kind, entry.direction), []).append(entry.id)
    return frozenset(ids[len(ids) // 2] for key in _SHOWN if (ids := found.get((str(key[0]), str(key[1])))))


def page(report: Curation, shown: Sequence[tuple[Sample, bytes | None]]) -> str:
    """Return the page.

    Args:
        report: The account.
        shown: Examples with their newest frame, JPEG or PNG.
    """
    environment = Environment(
        loader=PackageLoader("touge.curation"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    ranked = sorted(report.drives, key=lambda drive: (-sum(drive.rejected.values()), drive.drive))
    return environment.get_template("summary.html").render(
        report=report,
        splits=SPLITS,
        reasons=_bars(report.totals.rejected),
        kinds=_kinds(report),
        bands=_bands(report),
        by_split={split: sum(cell.windows for cell in report.cells if cell.split == split) for split in SPLITS},
        cards=[_card(sample, frame) for sample, frame in _in_order(shown)],
        drives=ranked[:_LISTED],
    )


def _bars(counts: dict[str, int]) -> list[Bar]:
    longest = max(counts.values(), default=1)
    return [Bar(name, windows, windows / longest, REASONS.get(name, "")) for name, windows in counts.items()]


def _kinds(report: Curation) -> list[dict[str, Any]]:
    """Return a row for each kind and side: windows by split and in all."""
    found: Counter[tuple[str, str, str]] = Counter()
    for cell in report.cells:
        found[cell.kind, cell.direction, cell.split] += cell.windows
    order = [str(kind) for kind in Kind]
    names = sorted({key[:2] for key in found}, key=lambda name: (order.index(name[0]), name[1]))
    rows = [
        (kind, direction, Counter({split: found[kind, direction, split] for split in SPLITS}))
        for kind, direction in names
    ]
    return [
        {"kind": kind, "direction": direction, "windows": windows, "total": windows.total()}
        for kind, direction, windows in rows
    ]


def _bands(report: Curation) -> list[dict[str, Any]]:
    """Return curves and S-curves by radius band: left and right, as shares of the longest."""
    found: Counter[tuple[str, str]] = Counter()
    for cell in report.cells:
        if cell.kind in {Kind.CURVE, Kind.S_CURVE}:
            found[cell.radius_band, cell.direction] += cell.windows
    edges = [
        f"<{RADIUS_EDGES[0]}",
        *(f"{low}-{high}" for low, high in pairwise(RADIUS_EDGES)),
    ]
    longest = max(found.values(), default=1)
    return [
        {
            "band": band,
            **{side: Bar(side, found[band, side], found[band, side] / longest) for side in ("left", "right")},
        }
        for band in [*edges, *sorted({band for band, _ in found} - set(edges))]
    ]


def _in_order(shown: Sequence[tuple[Sample, bytes | None]]) -> list[tuple[Sample, bytes | None]]:
    order = {(str(kind), str(side)): number for number, (kind, side) in enumerate(_SHOWN)}
    return sorted(shown, key=lambda pair: order.get((pair[0].label.kind, pair[0].label.direction), len(order)))


def _card(sample: Sample, frame: bytes | None) -> Card:
    """Draw the future from above: forward is up, left is left, one unit a metre."""
    points = [(0.0, 0.0), *((x, y) for x, y, _ in sample.future)]
    ahead, aside = max(20.0, *(x for x, _ in points)), max(15.0, *(abs(y) for _, y in points))
    path = " ".join(f"{aside - y:.1f},{ahead - x:.1f}" for x, y in points)
    return Card(sample, _data_uri(frame) if frame else None, path, 2 * aside, ahead)


def _data_uri(frame: bytes) -> str:
    kind = "png" if frame.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(frame).decode()}"
