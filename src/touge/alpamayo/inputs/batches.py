"""Windows to examples to left-padded batches: the last stop before the model.

Encoding (tokens, labels, positions, action) is done once a window; a training step only pads. What is needed
from a tokenizer lies in `prompt`, from pixels in `images`; nothing here reads a file.

Shapes: B rows, L columns, T = 64 future steps, N = 16 history poses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor

from touge.alpamayo.actions.action_space import ActionSpace
from touge.alpamayo.config import AlpamayoConfig
from touge.alpamayo.inputs.batch import Batch
from touge.alpamayo.inputs.images import Frame, PatchGrid, patches
from touge.alpamayo.inputs.positions import rope_positions
from touge.alpamayo.inputs.prompt import Prompt, labels_of
from touge.alpamayo.inputs.trajectory_tokens import future_bins, history_bins
from touge.alpamayo.inputs.vocabulary import Vocabulary
from touge.contract.errors import DataError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Window:
    """One sample as the model takes it: pixels and numbers, no files.

    Attributes:
        id: The sample's id.
        frames: uint8 [height, width, 3] arrays, camera by camera in the model's index order, oldest first.
        history: [16, 4] x, y, z, yaw in the ego frame at t0, metres and radians.
        future: [64, 3] x, y, yaw; None where only a rollout is wanted.
        reasoning: What the driver says; None where only a rollout is wanted.
        cameras: Whose frames these are, in their order; needed where the prompt names them.
    """

    id: str
    frames: Sequence[Frame]
    history: Floats
    future: Floats | None = None
    reasoning: str | None = None
    cameras: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """A window in numbers, unpadded; its fields are those of `Batch` without the row dimension.

    Attributes:
        id: The sample's id.
        input_ids: [L], trajectory tokens in their places.
        labels: [L], true at tokens to learn; nowhere in generation form.
        reasoning: [L], true at the labels from cot_start to cot_end.
        positions: [3, L] rotary positions.
        answer: Columns behind `traj_future_start`; 0 in generation form.
        history: [N, 4].
        action: [T, 2] normalised; empty in generation form.
        pixels: [patches, D].
        grid: [images, 3].
    """

    id: str
    input_ids: Tensor
    labels: Tensor
    reasoning: Tensor
    positions: Tensor
    answer: int
    history: Tensor
    action: Tensor
    pixels: Tensor
    grid: Tensor


class Encoder:
    """Turns windows into examples, and these into batches, for one model."""

    def __init__(self, config: AlpamayoConfig, tokenizer: Tokenizer) -> None:
        self.config = config
        self.vocabulary = Vocabulary.of(config)
        self.grid = PatchGrid.of(config)
        self.action_space = ActionSpace(config.action_space)
        self._prompt = Prompt.of(self.vocabulary, lambda text: tokenizer.encode(text, add_special_tokens=False).ids)
        self._padding = self.config.backbone["text_config"].get("pad_token_id") or 0

    def training(self, window: Window) -> Example:
        """Encode a window with its answer: reasoning, future tokens and labels.

        Raises:
            DataError: If it lacks future or reasoning, or its frames do not fit.
        """
        if window.future is None or window.reasoning is None:
            raise DataError(f"{window.id}: training needs `future` and `reasoning`; one of them is missing")
        history, future = _tensor(window.history), _tensor(window.future)
        action = self.action_space.to_action(history[..., :2], history[..., 3], future[..., :2], future[..., 2])
        bins = future_bins(action, self.config.future_tokens) + self.vocabulary.trajectory_start
        answer = self._prompt.answer(window.reasoning, bins[0].tolist())
        return self._example(window, history, answer, action[0])

    def generation(self, window: Window) -> Example:
        """Encode a window up to `<|cot_start|>`; whatever answer it carries is left out."""
        return self._example(window, _tensor(window.history), [], torch.empty(0))

    def collate(self, examples: Sequence[Example]) -> Batch:
        """Pad examples on the left into one batch."""
        length = max(len(example.input_ids) for example in examples)

        def padded(name: str, value: int) -> Tensor:
            rows = [getattr(example, name) for example in examples]
            return torch.stack([torch.nn.functional.pad(row, (length - row.shape[-1], 0), value=value) for row in rows])

        columns = torch.arange(length)
        starts = torch.tensor([length - len(example.input_ids) for example in examples])
        return Batch(
            ids=tuple(example.id for example in examples),
            input_ids=padded("input_ids", self._padding),
            attention_mask=columns >= starts[:, None],
            labels=padded("labels", 0),
            reasoning=padded("reasoning", 0),
            positions=padded("positions", 0).transpose(0, 1),
            prefix=length - examples[0].answer,
            history=torch.stack([example.history for example in examples]),
            action=torch.stack([example.action for example in examples]),
            pixels=torch.cat([example.pixels for example in examples]),
            grid=torch.cat([example.grid for example in examples]),
        )

    def _example(self, window: Window, history: Tensor, answer: list[int], action: Tensor) -> Example:
        words = self.vocabulary
        pixels, grid = patches(window.frames, self.grid, window.id)
        past = (
            history_bins(history[..., :3], self.config.history_tokens) + words.trajectory_start + words.history_offset
        )
        announced = labels_of(self.config.family, window.cameras, len(grid))
        question = self._prompt.question(self.grid.tokens(grid), announced, past[0].tolist())
        ids = torch.tensor(question + answer)
        columns = torch.arange(len(ids))
        labels = (columns >= len(question) - 1) & bool(answer)
        end = len(question) + answer.index(words.cot_end) if answer else -1
        return Example(
            id=window.id,
            input_ids=ids,
            labels=labels,
            reasoning=labels & (columns <= end),
            positions=torch.from_numpy(rope_positions((ids == words.image).numpy(), grid.numpy(), self.grid.merge)),
            answer=len(answer) - 1 - answer.index(words.future_start) if answer else 0,
            history=history[0],
            action=action,
            pixels=pixels,
            grid=grid,
        )


def _tensor(values: Floats) -> Tensor:
    """Return values [...] as one row [1, ...], float32."""
    return torch.from_numpy(np.asarray(values)).float()[None]
