"""Whether anything that was trained on is tested on, as far as the data can tell.

After the split, before anything is written. A leak is an error; what cannot be checked is `unknown` and said in words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy.spatial import cKDTree

from touge.contract.errors import DataError
from touge.contract.model import Document
from touge.contract.sample import SplitName
from touge.curation.index import Entry
from touge.curation.split import HeldOut

#: A held-out window this near to a training window, with such a heading, shows the same road (data anchors, §1b:
#: measured so on Boreas and KITTI).
NEAR_M = 10.0
NEAR_RAD = 0.5
_LISTED = 5

Floats = npt.NDArray[np.float64]
Assigned = Sequence[tuple[Entry, SplitName]]
Verdict = Literal["proved", "unknown"]

#: What two sides may share where each drive is cut in time: that the cuts leave them is said, and no error.
_SHARED_BY_BLOCKS = frozenset({"drive", "place"})


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

    schema_version: Literal["touge.leakage/1"] = Field("touge.leakage/1", alias="schema")
    verdict: Verdict
    unit: HeldOut
    checks: tuple[Check, ...]
    nearest_m: float | None
    statements: tuple[str, ...]


def prove(assigned: Assigned, unit: HeldOut) -> Leakage:
    """Check a split.

    Args:
        assigned: Every window with its split.
        unit: What was held out whole; only with blocks may a drive or a place be on two sides.

    Raises:
        DataError: If a held-out window shares a drive, a picture, a place or a position with training.
    """
    held, trained = _sides(assigned)
    distances = _distances(held, trained)
    checks = (
        _shared("drive", held, trained, lambda entry: entry.drive),
        _shared("picture", held, trained, _picture),
        _shared("place", held, trained, lambda entry: entry.place),
        _near(held, trained, distances),
    )
    shared = _SHARED_BY_BLOCKS if unit == "block_60s" else frozenset()
    _refuse([check for check in checks if check.leaks and check.what not in shared])
    finite = distances[np.isfinite(distances)]
    nearest = round(float(finite.min()), 2) if len(finite) else None
    verdict: Verdict = "proved" if _compared(held, trained) else "unknown"
    said = _statements(checks, unit, nearest, verdict) if held else ("Nothing is held out.",)
    return Leakage(verdict=verdict, unit=unit, checks=checks, nearest_m=nearest, statements=tuple(said))


def seen_in_training(assigned: Assigned) -> frozenset[str]:
    """Return the ids of held-out windows whose picture or road a training window shows, too."""
    held, trained = _sides(assigned)
    pictures = {_picture(entry) for entry in trained} - {None}
    near = _distances(held, trained) < NEAR_M
    return frozenset(entry.id for entry, close in zip(held, near, strict=True) if close or _picture(entry) in pictures)


def _sides(assigned: Assigned) -> tuple[list[Entry], list[Entry]]:
    """Return what is held out, and what is trained on."""
    held = [entry for entry, split in assigned if split != "train"]
    return held, [entry for entry, split in assigned if split == "train"]


def _picture(entry: Entry) -> bytes | None:
    return entry.picture or None


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


def _near(held: Sequence[Entry], trained: Sequence[Entry], distances: Floats) -> Check:
    leaks = [entry.id for entry, distance in zip(held, distances, strict=True) if distance < NEAR_M]
    frames = _by_frame(trained)
    known = sum(entry.position is not None and entry.position.frame in frames for entry in held)
    return Check(what="position", windows=known, of=len(held), leaks=len(leaks), examples=tuple(leaks[:_LISTED]))


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


def _statements(checks: Iterable[Check], unit: HeldOut, nearest: float | None, verdict: Verdict) -> Iterator[str]:
    if unit == "block_60s":
        yield "All drives hang together, so each was cut into blocks of 60 s; windows near a cut were left out."
    for check in checks:
        if check.leaks:
            yield f"{check.leaks} of {check.of} held-out windows share a {check.what} with training."
        elif check.windows:
            yield f"No {check.what} is on both sides: {check.windows} of {check.of} held-out windows checked."
        else:
            yield f"Whether a {check.what} is on both sides is unknown: no held-out window can be compared."
    if nearest is not None:
        yield f"The nearest held-out window lies {nearest:.0f} m from a training window of like heading."
    if verdict == "unknown":
        yield (
            "Unknown: not all windows have a position in one common frame, so the same road may have been driven on "
            "both sides under another name."
        )
