"""Batches and draws of each step, prepared ahead by threads and handed over in order."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch

from touge.alpamayo.inputs.batch import Batch
from touge.contract.recipe import Train
from touge.training.draws import Draws, draw
from touge.training.features import FeatureCache
from touge.training.inputs import Inputs
from touge.training.light import Light
from touge.training.order import Order, shares
from touge.training.step import Totals

#: Steps prepared ahead of the one at work.
_AHEAD = 4


@dataclass(frozen=True, slots=True)
class StepInput:
    """This rank's part of one optimiser step: micro-batches with their draws, on the CPU.

    Attributes:
        step: Its number.
        parts: Micro-batches.
        waited_s: How long the training had to wait for it.
    """

    step: int
    parts: tuple[tuple[Batch, Draws], ...]
    waited_s: float = 0.0

    @property
    def ids(self) -> tuple[str, ...]:
        """The samples, micro-batch by micro-batch."""
        return tuple(sample for batch, _ in self.parts for sample in batch.ids)

    @property
    def totals(self) -> Totals:
        """Labels and samples of this rank's part."""
        labels = sum(int(batch.labels.sum()) for batch, _ in self.parts)
        return Totals(labels, len(self.ids))


@dataclass(frozen=True, slots=True)
class Feed:
    """Makes the input of any step from its number alone.

    Args:
        inputs: Training rows.
        order: Which come when.
        settings: Batch sizes, draws and seed.
        rank: This process.
        ranks: All processes.
        features: Of the vision tower, where they are known.
        pin: Whether to prepare for a GPU: in pinned memory.
        clock: Seconds from any start.
    """

    inputs: Inputs
    order: Order
    settings: Train
    rank: int
    ranks: int
    features: FeatureCache | None = None
    pin: bool = False
    clock: Callable[[], float] = time.monotonic

    def indices(self, step: int) -> list[list[int]]:
        """Return the sample numbers of this rank's micro-batches."""
        size = self.settings.batch_size * self.settings.gradient_accumulation * self.ranks
        chosen = self.order.samples(step * size, size)
        return shares(chosen, self.settings.gradient_accumulation, self.rank, self.ranks)

    def step(self, step: int) -> StepInput:
        """Return the input of one step."""
        return StepInput(step, tuple(self._part(step, indices) for indices in self.indices(step)))

    def steps(self, first: int, end: int) -> Generator[StepInput]:
        """Yield the inputs of steps `first` … `end - 1`, prepared ahead."""
        # One torch thread each: with a team apiece they fight the training for the processors (a step took 1.5 times).
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1), "feed", torch.set_num_threads, (1,)) as pool:
            waiting: deque[Future[StepInput]] = deque()
            try:
                for step in range(first, end):
                    waiting.append(pool.submit(self.step, step))
                    if len(waiting) > _AHEAD:
                        yield self._awaited(waiting.popleft())
                while waiting:
                    yield self._awaited(waiting.popleft())
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _awaited(self, prepared: Future[StepInput]) -> StepInput:
        began = self.clock()
        given = prepared.result()
        return replace(given, waited_s=self.clock() - began)

    def _part(self, step: int, indices: list[int]) -> tuple[Batch, Draws]:
        batch = self._batch(step, indices)
        shape = self.inputs.encoder.config.action_shape
        settings = self.settings
        draws = draw(batch.ids, seed=settings.seed, step=step, draws=settings.flow_draws, shape=shape)
        return (batch.pinned(), draws.pinned()) if self.pin else (batch, draws)

    def _batch(self, step: int, indices: list[int]) -> Batch:
        if self.features is not None:
            return self.features.attach(self.inputs.text_batch(indices), indices)
        ranges = self.settings.augmentation
        return self.inputs.batch(indices, None if ranges.off else Light(ranges, self.settings.seed, step))
