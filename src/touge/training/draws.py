"""Noise and times of the flow loss, from (seed, step, sample id) alone.

Drawn on the CPU by numpy, whose streams are stable across machines: a resumed, re-batched or redistributed
training sees the same draws.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from touge.alpamayo.batch import moved
from touge.alpamayo.flow_matching import training_times


@dataclass(frozen=True, slots=True)
class Draws:
    """Starting points of the flow: noise [B, D, T, A] standard normal, time [B, D] in [0, MAX_TIME]."""

    noise: Tensor
    time: Tensor

    def to(self, device: torch.device | str) -> Draws:
        """Return the draws on `device`."""
        return Draws(moved(self.noise, device), moved(self.time, device))

    def pinned(self) -> Draws:
        """Return the draws in memory from which a GPU fetches by itself."""
        return Draws(self.noise.pin_memory(), self.time.pin_memory())


def draw(ids: Sequence[str], *, seed: int, step: int, draws: int, shape: tuple[int, int]) -> Draws:
    """Draw for a batch: each draw is standard normal at a time of the flow's distribution, all of a sample spread out.

    The second half are the first half's opposites at the same times (antithetic variates), and the times of a half lie
    in equal shares of their distribution, one in each (stratified): the noise of the target, which is most of the
    gradient's variance, cancels where the velocity is nearly linear (docs/decisions/009).

    Args:
        ids: B sample ids.
        seed: Of the training.
        step: Optimiser step, from 0.
        draws: D, draws a sample.
        shape: (T, A), steps and dimensions of an action.
    """
    half = (draws + 1) // 2
    noise = np.empty((len(ids), half, *shape), dtype=np.float32)
    uniform = np.empty((len(ids), half))
    for row, sample in enumerate(ids):
        generator = stream(seed, step, sample)
        generator.standard_normal(out=noise[row], dtype=np.float32)
        generator.random(out=uniform[row])
    times = training_times(torch.from_numpy((np.arange(half) + uniform) / half)).float()
    first = torch.from_numpy(noise)
    both = torch.cat([first, -first], dim=1), torch.cat([times, times], dim=1)
    return Draws(*(tensor[:, :draws].contiguous() for tensor in both))


def unsigned(seed: int) -> int:
    """Return a recipe's seed as numpy takes it: a negative one wrapped around, any other as it is."""
    return seed % (1 << 64)


def stream(seed: int, step: int, name: str) -> np.random.Generator:
    """Return a generator that depends on nothing but its arguments."""
    key = hashlib.blake2b(f"{seed}/{step}/{name}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
