"""Which sample comes when: a function of weights, seed and position, so that a resumed training goes on exactly.

Pure. A position counts samples from the first step of the training on; nothing is remembered between calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from touge.contract.errors import DataError
from touge.training.draws import unsigned


@dataclass(frozen=True, slots=True)
class Order:
    """Endless shuffled epochs in which a sample of weight w comes w times on average.

    An epoch has round(sum of weights) positions. Repeats are drawn by systematic sampling over a shuffled
    list: of w' = w x positions / sum of weights, which is w where the sum is whole, a sample comes floor(w') or
    ceil(w') times an epoch; where all weights are 1, exactly once.

    Args:
        weights: One number >= 0 a sample.
        seed: Decides the shuffles.
    """

    weights: tuple[float, ...]
    seed: int
    epoch_length: int = field(init=False)

    def __post_init__(self) -> None:
        total = sum(self.weights)
        if total <= 0 or min(self.weights) < 0:
            raise DataError(f"{len(self.weights)} training samples with weights that add up to {total}; expected > 0")
        object.__setattr__(self, "epoch_length", max(1, round(total)))

    def samples(self, first: int, count: int) -> list[int]:
        """Return the indices of the samples at positions `first` … `first + count - 1`."""
        chosen: list[int] = []
        while (missing := count - len(chosen)) > 0:
            epoch, place = divmod(first + len(chosen), self.epoch_length)
            listed = _epoch(self.weights, self.seed, self.epoch_length, epoch)
            chosen += listed[place : place + missing].tolist()
        return chosen


@lru_cache(maxsize=4)
def _epoch(weights: tuple[float, ...], seed: int, length: int, epoch: int) -> NDArray[np.int64]:
    generator = np.random.default_rng([unsigned(seed), epoch])
    listed = generator.permutation(len(weights))
    edges = np.cumsum(np.asarray(weights)[listed])
    ticks = (np.arange(length) + generator.random()) * (edges[-1] / length)
    drawn = listed[np.searchsorted(edges, ticks, side="right").clip(max=len(weights) - 1)]
    return generator.permutation(drawn)


def shares(global_batch: Sequence[int], micro_steps: int, rank: int, ranks: int) -> list[list[int]]:
    """Split a step's samples into this rank's micro-batches, in order.

    Args:
        global_batch: micro_steps x ranks x batch size samples.
        micro_steps: Gradient accumulation.
        rank: This process.
        ranks: All processes.
    """
    size = len(global_batch) // (micro_steps * ranks)
    starts = [(micro * ranks + rank) * size for micro in range(micro_steps)]
    return [list(global_batch[start : start + size]) for start in starts]
