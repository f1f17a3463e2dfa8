"""Train, validation and test: no drive and no place on two sides. Pure: light facts in, an assignment out.

Drives that share a place, or a picture, form one group, and groups are held out whole. Windows of one drive overlap
and two drives of one road look alike, so anything finer would test on what was trained on.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from touge.contract.recipe import Split
from touge.contract.sample import SplitName
from touge.curation.index import Entry

#: In the order in which few groups are given away.
NAMES: tuple[SplitName, ...] = ("train", "test", "validation")

#: What is held out whole.
HeldOut = Literal["place", "drive", "block_60s"]


@dataclass(frozen=True, slots=True)
class Unit:
    """What is held out whole.

    Attributes:
        name: Decides, with the seed, where it goes among equals.
        drives: Its drives.
        windows: How many windows of each stratum.
    """

    name: str
    drives: tuple[str, ...]
    windows: Mapping[str, int]

    @property
    def size(self) -> int:
        """How many windows in all."""
        return sum(self.windows.values())


def stratum(entry: Entry) -> str:
    """Return what each split should have its share of: left and right curves, straights, and the rest."""
    return f"{entry.bucket} {entry.direction}" if entry.bucket in {"curve", "straight"} else "other"


def groups(entries: Iterable[Entry], *, by_place: bool) -> list[Unit]:
    """Return the groups of drives that have a place or a picture in common.

    Args:
        entries: All windows, in any order.
        by_place: Whether places hold drives together; pictures always do: the same frame is the same drive.
    """
    leader: dict[str, str] = {}
    first: dict[Hashable, str] = {}
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for entry in entries:
        leader.setdefault(entry.drive, entry.drive)
        counts[entry.drive][stratum(entry)] += 1
        for key in _keys(entry, by_place=by_place):
            _join(leader, entry.drive, first.setdefault(key, entry.drive))
    members: dict[str, list[str]] = defaultdict(list)
    for drive in sorted(leader):
        members[_find(leader, drive)].append(drive)
    return [
        Unit(drives[0], tuple(drives), sum((counts[drive] for drive in drives), Counter()))
        for drives in members.values()
    ]


def assign(units: Sequence[Unit], split: Split, seed: int) -> dict[str, SplitName]:
    """Return the split of each unit, by its name.

    The largest come first, equals in an order that the seed decides; each goes where the splits' shares of every
    stratum are then nearest to what is wanted. A wanted split that is left empty takes the smallest unit that another
    can spare.

    Args:
        units: What is held out whole.
        split: Wanted shares.
        seed: Another seed, another split.
    """
    shares = _shares(split)
    total = dict(sorted(sum((Counter(unit.windows) for unit in units), Counter[str]()).items()))
    given: dict[SplitName, Counter[str]] = {name: Counter() for name in shares}
    chosen: dict[str, SplitName] = {}
    for unit in sorted(units, key=lambda unit: (-unit.size, _hashed(unit.name, seed))):
        name = min(shares, key=lambda name: _change(given[name], unit, total, shares[name]))
        given[name].update(unit.windows)
        chosen[unit.name] = name
    return _without_empty(chosen, units, shares, seed)


def _shares(split: Split) -> dict[SplitName, float]:
    wanted: dict[SplitName, float] = {
        "train": 1 - split.validation - split.test,
        "test": split.test,
        "validation": split.validation,
    }
    return {name: share for name, share in wanted.items() if share > 0}


def _change(given: Counter[str], unit: Unit, total: Mapping[str, int], share: float) -> float:
    """Return how much further a split gets from its share by this unit, as chi-squared over the strata."""

    def off(more: Mapping[str, int]) -> float:
        return sum((given[key] + more.get(key, 0) - share * size) ** 2 / (share * size) for key, size in total.items())

    return off(unit.windows) - off({})


def _without_empty(
    chosen: dict[str, SplitName], units: Sequence[Unit], shares: Mapping[SplitName, float], seed: int
) -> dict[str, SplitName]:
    for rank, name in enumerate(NAMES):
        held = Counter(chosen.values())
        movable = [unit for unit in units if held[chosen[unit.name]] > 1 or chosen[unit.name] in NAMES[rank:]]
        if name in shares and not held[name] and movable:
            smallest = min(movable, key=lambda unit: (unit.size, _hashed(unit.name, seed)))
            chosen = chosen | {smallest.name: name}
    return chosen


def _keys(entry: Entry, *, by_place: bool) -> Iterator[Hashable]:
    if entry.picture:
        yield entry.picture
    if not by_place:
        return
    if entry.place is not None:
        yield entry.place
    if entry.position is not None:
        yield from entry.position.keys()


def _find(leader: dict[str, str], drive: str) -> str:
    while leader[drive] != drive:
        leader[drive] = leader[leader[drive]]
        drive = leader[drive]
    return drive


def _join(leader: dict[str, str], one: str, other: str) -> None:
    """Let the drive whose name sorts first lead both groups, so that the order of the rows does not matter."""
    low, high = sorted((_find(leader, one), _find(leader, other)))
    leader[high] = low


def _hashed(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest()
