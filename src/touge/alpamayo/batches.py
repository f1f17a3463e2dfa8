"""Windows -> encoded windows -> left-padded batches: the last stop before the model.

Encoding (tokens, labels, positions, action) is done once a window; a training step only pads. What is needed
from a tokenizer lies in `prompt`, from pixels in `images`; nothing here reads a file.

Shapes: B rows, L columns, T = 64 future steps, N = 16 history poses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from touge.alpamayo.action_space import ActionSpace
from touge.alpamayo.config import AlpamayoConfig
from touge.alpamayo.images import ImageSpec, patches
from touge.alpamayo.positions import rope_positions
from touge.alpamayo.prompt import Prompt
from touge.alpamayo.trajectory_tokens import TrajectoryTokens
from touge.alpamayo.vocabulary import Vocabulary
from touge.contract.errors import DataError

FloatArray = npt.NDArray[np.floating]


class LabelClass(IntEnum):
    """What a label row belongs to; the loss weights them apart."""

    NONE = 0
    REASONING = 1
    OTHER = 2


@dataclass(frozen=True, slots=True)
class Window:
    """One sample as the model takes it: pixels and numbers, no files.

    Attributes:
        id: The sample's id.
        frames: uint8 [height, width, 3] arrays, camera by camera in the model's index order, oldest first.
        history: [16, 4] x, y, z, yaw in the ego frame at t0, metres and radians.
        future: [64, 3] x, y, yaw; None where only a rollout is wanted.
        reasoning: What the driver says; None where only a rollout is wanted.
    """

    id: str
    frames: Sequence[npt.NDArray[np.uint8]]
    history: FloatArray
    future: FloatArray | None = None
    reasoning: str | None = None


@dataclass(frozen=True, slots=True)
class VisionFeatures:
    """What the vision tower makes of images: [tokens, width], and the same for each deepstack level."""

    embeds: Tensor
    deepstack: tuple[Tensor, ...]

    def split(self, tokens: Sequence[int]) -> list[VisionFeatures]:
        """Cut into pieces of so many tokens each, as the cache of a frozen tower needs them."""
        pieces = zip(*(level.split(list(tokens)) for level in (self.embeds, *self.deepstack)), strict=True)
        return [VisionFeatures(first, tuple(rest)) for first, *rest in pieces]

    @classmethod
    def join(cls, parts: Sequence[VisionFeatures]) -> VisionFeatures:
        """Put pieces one after the other."""
        deepstack = zip(*(part.deepstack for part in parts), strict=True)
        return cls(torch.cat([part.embeds for part in parts]), tuple(torch.cat(level) for level in deepstack))

    def to(self, device: torch.device | str) -> VisionFeatures:
        """Return the features on `device`."""
        return VisionFeatures(self.embeds.to(device), tuple(level.to(device) for level in self.deepstack))


@dataclass(frozen=True, slots=True)
class EncodedWindow:
    """A window in numbers, unpadded.

    Attributes:
        ids: [L] token ids, trajectory tokens in their places.
        classes: [L] `LabelClass` of each token; all `NONE` in the generation form.
        positions: [3, L] rotary positions.
        future_start: Column of `<|traj_future_start|>`, or L in the generation form.
        history: [16, 4].
        action: [64, 2] normalised, None without a future.
        pixel_values: [patches, features]; may be dropped once the vision features are cached.
        grids: [images, 3].
        vision: Cached vision features.
    """

    id: str
    ids: Tensor
    classes: Tensor
    positions: Tensor
    future_start: int
    history: Tensor
    action: Tensor | None
    pixel_values: Tensor | None
    grids: Tensor
    vision: VisionFeatures | None = None

    def with_vision(self, features: VisionFeatures) -> EncodedWindow:
        """Return the window with cached features in place of pixels."""
        return replace(self, vision=features, pixel_values=None)


@dataclass(frozen=True, slots=True)
class Labels:
    """The rows whose next token is learned: n of them in a batch.

    Attributes:
        rows: [n] indices into the flattened [B * L] hidden states, one column before the target.
        targets: [n] token ids.
        classes: [n] `LabelClass`.
        samples: [n] row of the batch.
    """

    rows: Tensor
    targets: Tensor
    classes: Tensor
    samples: Tensor

    def to(self, device: torch.device | str) -> Labels:
        """Return the labels on `device`."""
        return Labels(*(getattr(self, f.name).to(device) for f in fields(self)))


@dataclass(frozen=True, slots=True)
class Batch:
    """Left-padded rows.

    Attributes:
        ids: [B, L] token ids.
        visible: [B, L] bool, false at padding.
        positions: [3, B, L] rotary positions.
        padded: Whether any row is.
        future_start: [B] column of `<|traj_future_start|>`; L in the generation form.
        prefix_length: Columns that the expert may read in training: up to the last `<|traj_future_start|>`.
        labels: None in the generation form.
        history: [B, 16, 4].
        action: [B, 64, 2] normalised, or None.
        pixel_values: [patches, features], or None where `vision` is given.
        grids: [images, 3], all rows one after the other.
        vision: Features computed before, or None.
    """

    sample_ids: tuple[str, ...]
    ids: Tensor
    visible: Tensor
    positions: Tensor
    padded: bool
    future_start: Tensor
    prefix_length: int
    labels: Labels | None
    history: Tensor
    action: Tensor | None
    pixel_values: Tensor | None
    grids: Tensor
    vision: VisionFeatures | None

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch on `device`."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        moved = {name: v.to(device) for name, v in values.items() if isinstance(v, Tensor | Labels | VisionFeatures)}
        return replace(self, **moved)


class Encoder:
    """Turns windows into encoded windows for one model.

    Args:
        config: The model's configuration.
        prompt: The tokenised prompt pieces.
        images: How frames become patches.
    """

    def __init__(self, config: AlpamayoConfig, prompt: Prompt, images: ImageSpec) -> None:
        self._prompt, self._images = prompt, images
        self._vocabulary, self._tokens = Vocabulary.of(config), TrajectoryTokens.of(config)
        self._space = ActionSpace(config.action_space)

    def training(self, windows: Sequence[Window]) -> list[EncodedWindow]:
        """Encode windows with their answer: reasoning, future tokens and labels.

        Raises:
            DataError: Names every window without future or reasoning, or whose frames do not fit.
        """
        lacking = [w.id for w in windows if w.future is None or w.reasoning is None]
        if lacking:
            raise DataError(f"training needs `future` and `reasoning`; missing in {', '.join(lacking)}")
        if not windows:
            return []
        history = _history(windows)
        future = torch.from_numpy(np.stack([np.asarray(w.future) for w in windows])).float()
        actions = self._space.to_action(history[..., :2], history[..., 3], future[..., :2], future[..., 2])
        bins = self._tokens.future(actions) + self._vocabulary.trajectory_start
        return [
            self._encode(w, h, p, answer=self._prompt.answer(w.reasoning or "", f.tolist()), action=a)
            for w, h, p, f, a in zip(windows, history, self._history_ids(history), bins, actions, strict=True)
        ]

    def generation(self, windows: Sequence[Window]) -> list[EncodedWindow]:
        """Encode windows up to `<|cot_start|>`; whatever answer they carry is left out."""
        if not windows:
            return []
        history = _history(windows)
        return [
            self._encode(w, h, p, answer=None, action=None)
            for w, h, p in zip(windows, history, self._history_ids(history), strict=True)
        ]

    def _history_ids(self, history: Tensor) -> list[list[int]]:
        indices = self._tokens.history(history[..., :3]) + self._vocabulary.trajectory_start
        ids: list[list[int]] = indices.tolist()
        return ids

    def _encode(
        self, window: Window, history: Tensor, past: list[int], *, answer: list[int] | None, action: Tensor | None
    ) -> EncodedWindow:
        values, grids = patches(window.frames, self._images, window.id)
        question = self._prompt.question([self._images.tokens(grid) for grid in grids], past)
        ids = np.array(question + (answer or []), np.int64)
        positions = rope_positions(ids == self._vocabulary.image, grids, self._images.merge)
        return EncodedWindow(
            id=window.id,
            ids=torch.from_numpy(ids),
            classes=torch.from_numpy(label_classes(ids, self._vocabulary, first=len(question) - 1, labelled=answer is not None)),
            positions=torch.from_numpy(positions),
            future_start=_column(ids, self._vocabulary.future_start),
            history=history,
            action=action,
            pixel_values=torch.from_numpy(values),
            grids=torch.from_numpy(grids),
        )


def label_classes(
    ids: npt.NDArray[np.int64], vocabulary: Vocabulary, *, first: int, labelled: bool
) -> npt.NDArray[np.int8]:
    """Return the label class of each token.

    Labels are `<|cot_start|>` (column `first`) to `<|cot_end|>`, `<|traj_future_start|>` to
    `<|traj_future_end|>`, both ends included, and the closing `<|im_end|>`: everything from `first` on.
    """
    classes = np.zeros(len(ids), np.int8)
    if labelled:
        classes[first:] = LabelClass.OTHER
        classes[first : _column(ids, vocabulary.cot_end) + 1] = LabelClass.REASONING
    return classes


def collate(windows: Sequence[EncodedWindow], pad_id: int) -> Batch:
    """Pad encoded windows on the left into one batch."""
    length, rows = max(len(w.ids) for w in windows), len(windows)
    ids = torch.full((rows, length), pad_id, dtype=torch.long)
    visible = torch.zeros(rows, length, dtype=torch.bool)
    positions = torch.zeros(3, rows, length, dtype=torch.long)
    classes = torch.zeros(rows, length, dtype=torch.int8)
    for row, window in enumerate(windows):
        start = length - len(window.ids)
        ids[row, start:], visible[row, start:] = window.ids, True
        positions[:, row, start:], classes[row, start:] = window.positions, window.classes
    future_start = torch.tensor([length - len(w.ids) + w.future_start for w in windows])
    return Batch(
        sample_ids=tuple(w.id for w in windows),
        ids=ids,
        visible=visible,
        positions=positions,
        padded=any(len(w.ids) < length for w in windows),
        future_start=future_start,
        prefix_length=min(length, int(future_start.max()) + 1),
        labels=make_labels(ids, classes) if bool(classes.any()) else None,
        history=torch.stack([w.history for w in windows]),
        action=_stack([w.action for w in windows]),
        pixel_values=_join([w.pixel_values for w in windows]),
        grids=torch.cat([w.grids for w in windows]),
        vision=VisionFeatures.join([w.vision for w in windows if w.vision]) if all(w.vision for w in windows) else None,
    )


def make_labels(ids: Tensor, classes: Tensor) -> Labels:
    """Return the label rows of ids and classes [B, L]: the hidden state before each labelled token."""
    samples, columns = classes.nonzero(as_tuple=True)
    return Labels(
        rows=samples * ids.shape[1] + columns - 1,
        targets=ids[samples, columns],
        classes=classes[samples, columns],
        samples=samples,
    )


def _history(windows: Sequence[Window]) -> Tensor:
    return torch.from_numpy(np.stack([np.asarray(w.history) for w in windows])).float()


def _column(ids: npt.NDArray[np.int64], token: int) -> int:
    """Return the first column that holds `token`, or the length."""
    found = np.flatnonzero(ids == token)
    return int(found[0]) if len(found) else len(ids)


def _stack(parts: Sequence[Tensor | None]) -> Tensor | None:
    present = [part for part in parts if part is not None]
    return torch.stack(present) if len(present) == len(parts) else None


def _join(parts: Sequence[Tensor | None]) -> Tensor | None:
    present = [part for part in parts if part is not None]
    return torch.cat(present) if len(present) == len(parts) else None
