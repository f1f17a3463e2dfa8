"""Whether anything that was trained on is tested on, as far as the data can tell.

After the split, before anything is written. A leak is an error; what cannot be checked is `unknown` and said in words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from touge.contract.errors import DataError
from touge.contract.model import Document
from touge.contract.sample import SplitName
from touge.curation.index import Entry

#: A held-out window this near to a training window, with such a heading, shows the same road (data anchors, §1b:
#: measured so on Boreas and KITTI).
NEAR_M = 10.0
NEAR_RAD = 0.5
_LISTED = 5

Floats = npt.NDArray[np.float64]
Assigned = Sequence[tuple[Entry, SplitName]]


class Check(Document):
    """One way in which training and held-out windows could be the same.

    Attributes:
        what: Drives, pictures, places or positions.
        windows: Held-out windows that could be checked.
        of: All held-out windows.
        leaks: Those that share something with training.
        examples: Ids of the first few.
    """

    what: str
    windows: int
    of: int
    leaks: int
    examples: tuple[str, ...] = ()


class Leakage(Document):
    """What was proved: leakage.json.

    Attributes:
        verdict: `proved` if every held-out window was checked by position, else `unknown`.
        unit: What was held out whole.
        checks: Every check.
        nearest_m: Smallest distance of a held-out window to a training window of like heading, metres; null where
            there is none within 1 km or nothing could be measured.
        statements: The same for people.
    """

    schema_version: Literal["touge.leakage/1"] = "touge.leakage/1"
    verdict: Literal["proved", "unknown"]
    unit: Literal["place", "drive", "block_60s"]
    checks: tuple[Check, ...]
    nearest_m: float | None
    statements: tuple[str, ...]


def prove(assigned: Assigned, unit: Literal["place", "drive", "block_60s"]) -> Leakage:
    """Check a split.

    Args:
        assigned: Every window with its split.
        unit: What was held out whole; only with blocks may a drive be on two sides.

    Raises:
        DataError: If a held-out window shares a drive, a picture, a place or a position with training.
    """
    held = [entry for entry, split in assigned if split != "train"]
    trained = [entry for entry, split in assigned if split == "train"]
    checks = [
        _shared("drive", held, trained, lambda entry: entry.drive),
        _shared("picture", held, trained, lambda entry: entry.picture or None),
        _shared("place", held, trained, lambda entry: entry.place if entry.position is None else None),
    ]
    distances = _distances(held, trained)
    near = [held[index].id for index in np.flatnonzero(distances < NEAR_M)]
    known = sum(entry.position is not None for entry in held)
    checks.append(Check(what="position", windows=known, of=len(held), leaks=len(near), examples=tuple(near[:_LISTED])))
    _refuse([check for check in checks if check.leaks and not (unit == "block_60s" and check.what != "position")])
    finite = distances[np.isfinite(distances)]
    nearest = round(float(finite.min()), 2) if len(finite) else None
    verdict: Literal["proved", "unknown"] = "proved" if _compared(held, trained) else "unknown"
    return Leakage(
        verdict=verdict,
        unit=unit,
        checks=tuple(checks),
        nearest_m=nearest,
        statements=tuple(_statements(checks, unit, nearest, known=verdict == "proved")),
    )


def _compared(held: Sequence[Entry], trained: Sequence[Entry]) -> bool:
    """Whether all windows have a position and all positions are in one frame."""
    frames = {entry.position.frame if entry.position else None for entry in (*held, *trained)}
    return len(frames) == 1 and None not in frames


def _shared(
    what: str, held: Sequence[Entry], trained: Iterable[Entry], key: Callable[[Entry], Hashable | None]
) -> Check:
    seen = {key(entry) for entry in trained} - {None}
    known = [entry for entry in held if key(entry) is not None]
    leaks = [entry.id for entry in known if key(entry) in seen]
    return Check(what=what, windows=len(known), of=len(held), leaks=len(leaks), examples=tuple(leaks[:_LISTED]))


def _distances(held: Sequence[Entry], trained: Sequence[Entry]) -> Floats:
    """Return the distance of each held-out window to the nearest training window of like heading, metres, [N]."""
    nearest = np.full(len(held), np.inf)
    frames, theirs = _by_frame(held), _by_frame(trained)
    for frame, indices in frames.items():
        if frame in theirs:
            others = _poses(trained, theirs[frame])
            nearest[indices] = _nearest(_poses(held, indices), others)
    return nearest


def _nearest(poses: Floats, others: Floats) -> Floats:
    """Return for each pose [N, 3] the distance to the nearest of the others within 0.5 rad, metres."""
    nearest = np.full(len(poses), np.inf)
    tree = cKDTree(others[:, :2])
    open_ = np.arange(len(poses))
    count = 4
    while len(open_):  # asks for more neighbours only where none of the nearest has a like heading
        count = min(4 * count, len(others))
        distance, index = tree.query(poses[open_, :2], k=count, distance_upper_bound=1000.0)
        distance, index = distance.reshape(len(open_), -1), index.reshape(len(open_), -1)
        turn = poses[open_, 2:] - others[np.minimum(index, len(others) - 1), 2]
        unlike = np.abs((turn + np.pi) % (2 * np.pi) - np.pi) > NEAR_RAD
        best = np.where(unlike, np.inf, distance).min(axis=1)
        nearest[open_] = best
        exhausted = np.isinf(distance[:, -1]) | (count == len(others)) | np.isfinite(best)
        open_ = open_[~exhausted]
    return nearest


def _by_frame(entries: Sequence[Entry]) -> Mapping[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for index, entry in enumerate(entries):
        if entry.position is not None:
            found[entry.position.frame].append(index)
    return found


def _poses(entries: Sequence[Entry], indices: Iterable[int]) -> Floats:
    chosen = [entry.position for index in indices if (entry := entries[index]).position is not None]
    return np.array([(pose.x, pose.y, pose.heading) for pose in chosen if pose is not None]).reshape(-1, 3)


def _refuse(leaking: Sequence[Check]) -> None:
    if not leaking:
        return
    found = "".join(f"\n  - {check.leaks} share a {check.what}: {', '.join(check.examples)}" for check in leaking)
    raise DataError(
        f"the split leaks: held-out windows that share something with training{found}\n"
        "Set curate.split.by to [drive, place], or add drives of other places"
    )


def _statements(checks: Sequence[Check], unit: str, nearest: float | None, *, known: bool) -> Iterable[str]:
    if unit == "block_60s":
        yield "All drives hang together, so each was cut into blocks of 60 s; windows near a cut were left out."
    for check in checks:
        if check.what == "drive" and unit == "block_60s":
            continue
        if check.windows:
            yield f"No {check.what} is on both sides: {check.windows} of {check.of} held-out windows checked."
        else:
            yield f"Whether a {check.what} is on both sides is unknown: no held-out window has one."
    if nearest is not None:
        yield f"The nearest held-out window lies {nearest:.0f} m from a training window of like heading."
    if not known:
        yield (
            "Unknown: not all windows have a position in one common frame, so the same road may have been driven on "
            "both sides under another name."
        )
