"""Sample numbers to batches: everything that can be computed once a sample is, and kept over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from touge.alpamayo.inputs.batch import Batch
from touge.alpamayo.inputs.batches import Encoder, Example, Window
from touge.alpamayo.inputs.images import Frame, patches
from touge.training.frames import FrameSource
from touge.training.light import Light
from touge.training.samples import Samples

#: About a gigabyte at full size, where an example has a thousand tokens.
KEPT_EXAMPLES = 50_000


@dataclass(frozen=True, slots=True)
class Inputs:
    """The training rows as the model takes them; safe to share between threads.

    Args:
        samples: Rows.
        frames: Their pictures.
        encoder: Of the model to train.
        words: Reasoning by sample id, for rows that have none of their own.
    """

    samples: Samples
    frames: FrameSource
    encoder: Encoder
    words: Mapping[str, str]
    _kept: dict[int, Example] = field(default_factory=dict)

    def batch(self, indices: Sequence[int], light: Light | None = None) -> Batch:
        """Return samples in training form, with their pixels, in another light where one is given."""
        examples = [self._with_pixels(index, light) for index in indices]
        return self.encoder.collate(examples)

    def text_batch(self, indices: Sequence[int]) -> Batch:
        """Return samples in training form, for a model whose vision features are known: without pixels."""
        return replace(self.encoder.collate([self.example(index) for index in indices]), pixels=None)

    def example(self, index: int) -> Example:
        """Return one sample as numbers, tokens and actions only: its pixels are empty."""
        if (kept := self._kept.get(index)) is None:
            example = self.encoder.training(self._window(index))
            kept = replace(example, pixels=torch.empty(0))
            if len(self._kept) < KEPT_EXAMPLES:
                self._kept[index] = kept
        return kept

    def questions(self, indices: Sequence[int]) -> Batch:
        """Return samples as the model is asked about them: with pixels, without an answer, also where none is known."""
        return self.encoder.collate([self.encoder.generation(self._window(index)) for index in indices])

    def _with_pixels(self, index: int, light: Light | None) -> Example:
        example, frames = self.example(index), self._frames(index)
        pixels, _ = patches(light.on(example.id, frames) if light else frames, self.encoder.grid)
        return replace(example, pixels=pixels)

    def _frames(self, index: int) -> tuple[Frame, ...]:
        return self.frames.frames(self.samples.rows[index].id, lambda: self.samples.read(index))

    def _window(self, index: int) -> Window:
        sample = self.samples.read(index)
        text = sample.reasoning.text if sample.reasoning else self.words.get(sample.id)
        return Window(
            id=sample.id,
            frames=self._frames(index),
            history=np.array(sample.history),
            future=np.array(sample.future),
            reasoning=text,
            cameras=sample.views,
        )
