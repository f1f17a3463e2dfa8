"""A batch of left-padded windows as tensors: what the model computes on. How it is made is `batches`' work.

Shapes: B rows, L columns, N = 16 history poses, T = 64 future steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class VisionFeatures:
    """What the vision tower says of all images of a batch.

    Attributes:
        embeddings: [tokens, C] in the order of the image tokens.
        deepstack: One [tokens, C] a deepstack level.
    """

    embeddings: Tensor
    deepstack: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids are fused: trajectory placeholders are replaced by trajectory tokens.

    Attributes:
        ids: Sample ids.
        input_ids: [B, L].
        attention_mask: [B, L], true where there is no padding (left).
        labels: [B, L], true at tokens to learn; empty in generation form.
        reasoning: [B, L], true at the labels from cot_start to cot_end.
        positions: [3, B, L] rotary positions.
        prefix: Columns up to and including `traj_future_start`; the same for all rows. L in generation form.
        history: [B, N, 4] x, y, z, yaw, metres and radians, ego frame at t0.
        action: [B, T, 2] normalised future; empty in generation form.
        pixels: uint8 [patches, 3 patch^2], or [patches, D] as Qwen3-VL's image processor gives them, or None where
            features are given.
        grid: [images, 3] patches in time, height, width.
        features: Vision features computed before, or None.
    """

    ids: tuple[str, ...]
    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    reasoning: Tensor
    positions: Tensor
    prefix: int
    history: Tensor
    action: Tensor
    pixels: Tensor | None
    grid: Tensor
    features: VisionFeatures | None = None

    def without_future(self) -> Self:
        """Return the batch up to `prefix`: all that is read where trajectory tokens are not learnt."""
        columns = slice(self.prefix)
        rows = {
            name: getattr(self, name)[:, columns] for name in ("input_ids", "attention_mask", "labels", "reasoning")
        }
        return replace(self, positions=self.positions[:, :, columns], **rows)

    def to(self, device: torch.device | str) -> Self:
        """Return the batch with every tensor on `device`; pinned ones travel while the host goes on."""
        return self._each(lambda tensor: moved(tensor, device))

    def pinned(self) -> Self:
        """Return the batch with every tensor in memory from which a GPU fetches by itself."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        return replace(self, **{f.name: _changed(getattr(self, f.name), change) for f in fields(self)})


def moved(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Return the tensor on a device; a pinned one travels while the host goes on."""
    return tensor.to(device, non_blocking=tensor.is_pinned())


def _changed(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, VisionFeatures):
        return VisionFeatures(change(value.embeddings), tuple(map(change, value.deepstack)))
    return change(value) if isinstance(value, Tensor) else value
