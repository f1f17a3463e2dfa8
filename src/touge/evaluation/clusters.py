"""What may be resampled: drives, else clips, else 60 s blocks within one drive.

Windows of one cluster are not independent; clusters are taken to be. Which kind they are is named in the
report, because an interval within one drive says nothing about another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from touge.contract.sample import Sample

Kind = Literal["drive", "clip", "block_60s"]

#: Readers whose `drive` is a 20 s clip of a drive that the data set does not name.
CLIP_READERS = frozenset({"physical-ai-av"})
BLOCK_US = 60_000_000
#: A window reaches 1.5 s back and 6.4 s ahead: windows 8 s apart share no pose.
APART_US = 8_000_000


@dataclass(frozen=True, slots=True)
class Clusters:
    """A cluster number for every window.

    Attributes:
        kind: What a cluster is.
        index: [N]; -1 where a window lies between two blocks and is left out.
        count: Number of clusters.
    """

    kind: Kind
    index: NDArray[np.int64]
    count: int


def cluster(samples: Sequence[Sample]) -> Clusters:
    """Return the clusters of windows: by drive, by clip, or, within one drive, by 60 s blocks 8 s apart."""
    drives = sorted({sample.drive for sample in samples})
    if len(drives) == 1:
        return _blocks([sample.t0_us for sample in samples])
    number = {drive: index for index, drive in enumerate(drives)}
    clips = all(sample.provenance.reader in CLIP_READERS for sample in samples)
    index = np.array([number[sample.drive] for sample in samples], dtype=np.int64)
    return Clusters("clip" if clips else "drive", index, len(drives))


def _blocks(times_us: Sequence[int]) -> Clusters:
    """Lay blocks greedily: one starts at the first window that is far enough from the last one of the block before."""
    index = np.full(len(times_us), -1, dtype=np.int64)
    block, start, last = -1, 0, 0
    for place in np.argsort(times_us, kind="stable"):
        time = times_us[place]
        if block < 0 or (time - start >= BLOCK_US and time - last >= APART_US):
            block, start = block + 1, time
        if time - start < BLOCK_US:
            index[place], last = block, time
    return Clusters("block_60s", index, block + 1)
