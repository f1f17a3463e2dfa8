"""The fallback where all drives hang together: each is cut in time, with a gap at every cut.

Pure. Says less than a split by drive or place, and is named so in the leakage report: a road that is driven twice can
be on both sides.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from touge.contract.sample import SplitName
from touge.curation.index import Entry
from touge.curation.split import Unit, stratum

BLOCK_US = 60_000_000
#: A window reaches 1.5 s back and 6.4 s ahead: windows 8 s apart share no pose.
APART_US = 8_000_000


def block_of(entry: Entry) -> str:
    """Return the name of the 60 s that a window is in, counted from time 0 of its drive."""
    return _block_name(entry.drive, entry.t0_us)


def blocks(entries: Iterable[Entry]) -> list[Unit]:
    """Return the blocks that hold windows."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for entry in entries:
        counts[block_of(entry), entry.drive][stratum(entry)] += 1
    return [Unit(name, (drive,), windows) for (name, drive), windows in counts.items()]


def at_a_cut(entries: Iterable[Entry], chosen: Mapping[str, SplitName]) -> frozenset[str]:
    """Return the ids of windows that end a block less than 8 s before another split begins.

    Args:
        entries: All windows, in any order.
        chosen: Split of each block.
    """
    return frozenset(entry.id for entry in entries if _reaches_over(entry, chosen))


def _reaches_over(entry: Entry, chosen: Mapping[str, SplitName]) -> bool:
    after = chosen.get(_block_name(entry.drive, entry.t0_us + APART_US))
    return after is not None and after != chosen[block_of(entry)]


def _block_name(drive: str, t_us: int) -> str:
    return f"{drive}#{t_us // BLOCK_US:08d}"
