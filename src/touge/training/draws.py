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

from touge.alpamayo.actions.flow_matching import training_times
from touge.alpamayo.inputs.batch import moved


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
    """Draw for a batch: noise, and times of which each equal share of their distribution holds one of a sample's.

    By itself each draw is as if drawn alone; together they are spread out (stratified sampling), which takes two
    thirds of the variance of a step's gradient with four draws (docs/decisions/009).

    Args:
        ids: B sample ids.
        seed: Of the training.
        step: Optimiser step, from 0.
        draws: D, draws a sample.
        shape: (T, A), steps and dimensions of an action.
    """
    noise = np.empty((len(ids), draws, *shape), dtype=np.float32)
    uniform = np.empty((len(ids), draws))
    for row, sample in enumerate(ids):
        generator = stream(seed, step, sample)
        generator.standard_normal(out=noise[row], dtype=np.float32)
        generator.random(out=uniform[row])
    spread = torch.from_numpy((np.arange(draws) + uniform) / draws)
    return Draws(torch.from_numpy(noise), training_times(spread).float())


def unsigned(seed: int) -> int:
    """Return a recipe's seed as numpy takes it: a negative one wrapped around, any other as it is."""
    return seed % (1 << 64)


def stream(seed: int, step: int, name: str) -> np.random.Generator:
    """Return a generator that depends on nothing but its arguments."""
    key = hashlib.blake2b(f"{seed}/{step}/{name}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
