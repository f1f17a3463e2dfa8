"""The one attention function of language model, vision tower and expert, and what is remembered of it.

Registered with transformers under the names `touge` and, for images, `touge-flash-images`. `decoder.block` passes
`memory=` down through a decoder layer's keyword arguments; it sees the layer's keys and values after the rotary
embedding, exactly those of a cache, and answers with the keys and values to attend to. No cache object, no hook and no
patch is involved, so it also works where gradient checkpointing drops `past_key_values`.

Shapes: B rows, H query heads, G key/value heads, Q queries, S keys, D head size.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

ATTENTION = "touge"
#: transformers hands a tower whole batches of images, not one image after the other, where "flash" is in the name.
IMAGE_ATTENTION = "touge-flash-images"

KeyValue = tuple[Tensor, Tensor]


class Memory(Protocol):
    """Keys and values of all layers: what a pass attends to besides its own, and what is kept of it."""

    def before(self, layer: int) -> KeyValue | None:
        """Return the keys and values [B, G, S, D] that stand before those of the pass."""
        ...

    def keep(self, layer: int, key: Tensor, value: Tensor) -> None:
        """See the pass's own keys and values, each [B, G, Q, D]."""
        ...


class Capture:
    """Keeps the keys and values of every layer of one pass."""

    def __init__(self) -> None:
        self.layers: list[KeyValue] = []

    def before(self, layer: int) -> None:
        """Return nothing; see `Memory`."""

    def keep(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Keep them, layer by layer; see `Memory`."""
        del layer
        self.layers.append((key, value))

    def prefix(self, length: int, *, reach: float = 0.0) -> Prefix:
        """Return the first `length` columns; of the gradient that meets them, the share `reach` goes on."""
        return Prefix([(reached(k[:, :, :length], reach), reached(v[:, :, :length], reach)) for k, v in self.layers])


class Prefix:
    """Fixed keys and values, one pair a layer, that stand before those of a pass."""

    def __init__(self, layers: list[KeyValue]) -> None:
        self.layers = layers

    def before(self, layer: int) -> KeyValue | None:
        """Return the layer's pair; see `Memory`."""
        return self.layers[layer]

    def keep(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Forget them; see `Memory`."""

    def repeated(self, times: int) -> Prefix:
        """Return the prefix of so many copies of each row, side by side."""
        if times == 1:
            return self
        return Prefix([(k.repeat_interleave(times, dim=0), v.repeat_interleave(times, dim=0)) for k, v in self.layers])


class Growing:
    """Appends each pass to buffers of fixed capacity."""

    def __init__(self, start: Prefix, extra: int) -> None:
        """Begin with `start`, with room for `extra` more columns."""
        self.length = start.layers[0][0].shape[2]
        self._buffers = [tuple(_with_room(tensor, extra) for tensor in pair) for pair in start.layers]

    def before(self, layer: int) -> KeyValue | None:
        """Return everything kept so far; see `Memory`."""
        keys, values = self._buffers[layer]
        return keys[:, :, : self.length], values[:, :, : self.length]

    def keep(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Append them; they count from `advance` on. See `Memory`."""
        end = self.length + key.shape[2]
        keys, values = self._buffers[layer]
        keys[:, :, self.length : end] = key
        values[:, :, self.length : end] = value

    def advance(self, columns: int) -> None:
        """Make the columns of the last pass permanent."""
        self.length += columns

    def prefix(self) -> Prefix:
        """Return everything kept so far, as a prefix."""
        return Prefix([(k[:, :, : self.length], v[:, :, : self.length]) for k, v in self._buffers])


def _with_room(start: Tensor, extra: int) -> Tensor:
    rows, heads, length, size = start.shape
    buffer = start.new_zeros(rows, heads, length + extra, size)
    buffer[:, :, :length] = start
    return buffer


class LayerMemory:
    """What one layer's attention attends to, and what it was given: lives for one pass of one layer.

    Args:
        before: Keys and values that stand before the layer's own.

    Attributes:
        own: The layer's own keys and values, once it was called.
    """

    own: KeyValue

    def __init__(self, before: KeyValue | None) -> None:
        self.before = before

    def __call__(self, key: Tensor, value: Tensor) -> KeyValue:
        """Note a layer's own keys and values; return those to attend to."""
        self.own = key, value
        if self.before is None:
            return key, value
        return torch.cat([self.before[0], key], dim=2), torch.cat([self.before[1], value], dim=2)


class _Reached(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, share: float) -> Tensor:
        ctx.share = share
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * ctx.share, None


def reached(tensor: Tensor, share: float) -> Tensor:
    """Return the tensor; of the gradient that meets it, a share in 0…1 goes on."""
    return _Reached.apply(tensor, share) if share else tensor.detach()


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    is_causal: bool | None = None,
    memory: LayerMemory | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention behind transformers' interface.

    Args:
        module: The attention layer; text layers carry `is_causal`.
        query: [B, H, Q, D].
        key: [B, G, Q, D].
        value: [B, G, Q, D].
        attention_mask: [B or 1, 1, Q, S], added to the scores; None for plain causal or full attention.
        scaling: Factor on the scores; 1/sqrt(D) when None.
        dropout: Probability of dropping a weight.
        is_causal: Overrides the layer's own.
        memory: Where keys and values are noted and others come from.

    Returns:
        [B, Q, H, D] and None, for attention weights are never formed.
    """
    heads, groups = query.shape[1], query.shape[1] // key.shape[1]
    if memory is not None:
        key, value = memory(key, value)
        if memory.before is not None and attention_mask is not None and groups > 1:
            query, attention_mask = _folded(query, attention_mask, groups)
    causal = bool(getattr(module, "is_causal", True)) if is_causal is None else is_causal
    output = nn.functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=attention_mask,
        dropout_p=dropout,
        scale=scaling,
        is_causal=causal and attention_mask is None,
        enable_gqa=query.shape[1] > key.shape[1],
    )
    return output.unflatten(2, (heads // query.shape[1], -1)).flatten(1, 2).transpose(1, 2).contiguous(), None


def _folded(query: Tensor, mask: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Return queries [B, H / groups, groups Q, D] and their mask: the heads that share keys as one head's queries.

    Kernels that take a mask do not take grouped heads, and keys and values of a long prefix would be copied for each.
    """
    return query.unflatten(1, (-1, groups)).flatten(2, 3), mask.repeat(1, 1, groups, 1)


def image_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    cu_seq_lens_q: Tensor,
    max_length_q: int,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention within each of N images that lie one after the other, behind transformers' interface.

    Args:
        module: The attention layer.
        query: [1, H, patches, D].
        key: As `query`.
        value: As `query`.
        attention_mask: None.
        cu_seq_lens_q: [N + 1], where each image begins and the last one ends.
        max_length_q: Patches of the largest image.
        scaling: Factor on the scores.

    Returns:
        [1, patches, H, D] and None. Images of one size share a pass; it takes no look at the device.
    """
    del module, attention_mask
    images, patches = len(cu_seq_lens_q) - 1, query.shape[2]
    if images * max_length_q == patches:
        q, k, v = (t[0].unflatten(1, (images, -1)).transpose(0, 1) for t in (query, key, value))
        together = nn.functional.scaled_dot_product_attention(q, k, v, scale=scaling)
        return together.transpose(1, 2).flatten(0, 1)[None], None
    lengths = cu_seq_lens_q.diff().tolist()
    parts = zip(*(t.split(lengths, dim=2) for t in (query, key, value)), strict=True)
    apart = [nn.functional.scaled_dot_product_attention(q, k, v, scale=scaling) for q, k, v in parts]
    return torch.cat(apart, dim=2).transpose(1, 2), None


AttentionInterface.register(ATTENTION, attention)
AttentionInterface.register(IMAGE_ATTENTION, image_attention)
