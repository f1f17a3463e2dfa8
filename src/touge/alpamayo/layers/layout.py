"""The columns of a batch as the layers take them: as they come, or moved to the left and padded to round lengths.

Windows arrive padded on the left, which forbids plain causal attention: a mask of L^2 numbers has to say what is
padding. Padded on the right, no token ever looks at padding, and equal lengths let compiled layers be used again.
All that must be counted on the host is counted here, before the device is given anything to do.

Shapes: B rows, L columns, P prefix columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor

from touge.alpamayo.inputs.batch import Batch
from touge.alpamayo.layers.decoder import causal_mask

#: Where there is nothing to learn: its negative log-likelihood is zero, as torch's cross-entropy has it.
NO_LABEL = -100


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything stands.

    Attributes:
        input_ids: [B, L].
        positions: [3, B, L] rotary positions.
        mask: [B, 1, L, L], true where a token may look; None for plain causal attention.
        images: [tokens] image tokens, counted through the B L tokens of the batch.
        words: [tokens] all others.
        learnt: [n] tokens whose following token is a label, row by row, counted likewise.
        labels: [n] these following tokens; `NO_LABEL` where there is none.
        reasoning: [n], true where they belong to the reasoning.
        readable: [B, P], true where the expert may read.
        start: [B] rotary position of the first action step.
    """

    input_ids: Tensor
    positions: Tensor
    mask: Tensor | None
    images: Tensor
    words: Tensor
    learnt: Tensor
    labels: Tensor
    reasoning: Tensor
    readable: Tensor
    start: Tensor

    @classmethod
    def of(cls, batch: Batch, image: int, multiple: int = 0) -> Self:
        """Lay out a batch.

        Args:
            batch: Padded on the left.
            image: Id of the image token.
            multiple: Move rows to the left and pad them to a multiple of so many columns; 0 leaves them.
        """
        prefix = torch.arange(batch.input_ids.shape[1], device=batch.input_ids.device) < batch.prefix
        readable = batch.attention_mask & prefix
        columns = _Columns.of(batch.attention_mask, multiple)
        seen = columns.moved(batch.attention_mask)
        ids, labels = columns.moved(batch.input_ids), columns.moved(batch.labels)
        is_image = (ids == image).flatten()
        following = torch.nn.functional.pad(labels[:, 1:], (0, 1)).flatten().nonzero().flatten()
        end = columns.up(batch.prefix)
        return cls(
            input_ids=ids,
            positions=columns.moved(batch.positions),
            mask=None if columns.plain else causal_mask(seen),
            images=is_image.nonzero().flatten(),
            words=(~is_image).nonzero().flatten(),
            learnt=following,
            labels=ids.flatten()[following + 1],
            reasoning=columns.moved(batch.reasoning).flatten()[following + 1],
            readable=columns.moved(readable)[:, :end],
            start=batch.positions[0, :, batch.prefix - 1] + 1,
        )

    def padded(self, multiple: int) -> Self:
        """Return the same with the number of labels padded to a multiple by some that count for nothing."""
        more = (0, -len(self.labels) % multiple)
        return replace(
            self,
            learnt=torch.nn.functional.pad(self.learnt, more),
            labels=torch.nn.functional.pad(self.labels, more, value=NO_LABEL),
            reasoning=torch.nn.functional.pad(self.reasoning, more),
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return all of it by name, what is None apart."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Return what these, among others, are the `tensors` of."""
        return cls(**{f.name: tensors.get(f.name) for f in fields(cls)})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class _Columns:
    """How columns move.

    Attributes:
        length: Columns after the move.
        source: [B, L] where each column comes from; None where rows stay in place.
        plain: Whether no token that counts has padding before it.
        multiple: Lengths are multiples of it, or as they come for 0.
    """

    length: int
    source: Tensor | None
    plain: bool
    multiple: int

    @classmethod
    def of(cls, attention_mask: Tensor, multiple: int) -> Self:
        length = attention_mask.shape[1]
        starts = length - attention_mask.sum(dim=1)
        padded = bool((starts > 0).any())
        source = None
        if multiple and padded:
            source = (torch.arange(length, device=starts.device) + starts[:, None]) % length
        total = -(-length // multiple) * multiple if multiple else length
        return cls(total, source, plain=bool(multiple) or not padded, multiple=multiple)

    def up(self, columns: int) -> int:
        """Return the round length that holds so many columns."""
        return -(-columns // self.multiple) * self.multiple if self.multiple else columns

    def moved(self, tensor: Tensor) -> Tensor:
        """Return [..., B, L] in the new order, zeros behind."""
        ordered = tensor if self.source is None else tensor.gather(-1, self.source.expand_as(tensor))
        return torch.nn.functional.pad(ordered, (0, self.length - tensor.shape[-1]))
