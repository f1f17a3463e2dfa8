"""The one attention function of language model, vision tower and expert, and what it may remember.

Registered with transformers under the name `touge`. A caller passes `memory=` down through the decoder
layers' keyword arguments; the memory sees each layer's keys and values after the rotary embedding, exactly
those of a cache, and answers with the keys and values to attend to. No cache object, no hook and no patch is
involved, so it also works where gradient checkpointing drops `past_key_values`.

Shapes: B rows, H query heads, G key/value heads, Q queries, S keys, D head size.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

ATTENTION = "touge"

KeyValue = tuple[Tensor, Tensor]


class Memory(Protocol):
    """Sees keys and values of layer `layer`, each [B, G, Q, D]; returns those to attend to, [B, G, S, D]."""

    def __call__(self, layer: int, key: Tensor, value: Tensor) -> KeyValue:
        """Return the keys and values to attend to."""
        ...


class Capture:
    """Keeps the keys and values of every layer of one pass; the first call counts when a layer is recomputed."""

    def __init__(self) -> None:
        self.layers: dict[int, KeyValue] = {}

    def __call__(self, layer: int, key: Tensor, value: Tensor) -> KeyValue:
        """Return the keys and values to attend to; see `Memory`."""
        self.layers.setdefault(layer, (key, value))
        return key, value

    def prefix(self, length: int, *, detach: bool) -> Prefix:
        """Return the first `length` columns, cut off from the gradient when `detach`."""
        pairs = [
            tuple(t[:, :, :length].detach() if detach else t[:, :, :length] for t in self.layers[i])
            for i in range(len(self.layers))
        ]
        return Prefix([(key, value) for key, value in pairs])


class Prefix:
    """Puts fixed keys and values, one pair a layer, before those of the present pass."""

    def __init__(self, layers: list[KeyValue]) -> None:
        self.layers = layers

    def __call__(self, layer: int, key: Tensor, value: Tensor) -> KeyValue:
        """Return the keys and values to attend to; see `Memory`."""
        before_key, before_value = self.layers[layer]
        return torch.cat([before_key, key], dim=2), torch.cat([before_value, value], dim=2)

    def repeated(self, times: int) -> Prefix:
        """Return the prefix of so many copies of each row, side by side."""
        if times == 1:
            return self
        return Prefix([(k.repeat_interleave(times, dim=0), v.repeat_interleave(times, dim=0)) for k, v in self.layers])


class Growing:
    """Appends each pass to buffers of fixed capacity, so that decoding never copies what is already there."""

    def __init__(self, start: Prefix, repeats: int, extra: int) -> None:
        """Begin with `start`, each row repeated `repeats` times, with room for `extra` more columns."""
        self.length = start.layers[0][0].shape[2]
        self._buffers = [tuple(self._buffer(t, repeats, extra) for t in pair) for pair in start.layers]

    def _buffer(self, start: Tensor, repeats: int, extra: int) -> Tensor:
        rows, heads, length, size = start.shape
        buffer = start.new_zeros(rows * repeats, heads, length + extra, size)
        buffer[:, :, :length] = start.repeat_interleave(repeats, dim=0) if repeats > 1 else start
        return buffer

    def __call__(self, layer: int, key: Tensor, value: Tensor) -> KeyValue:
        """Return the keys and values to attend to; see `Memory`."""
        end = self.length + key.shape[2]
        keys, values = self._buffers[layer]
        keys[:, :, self.length : end] = key
        values[:, :, self.length : end] = value
        return keys[:, :, :end], values[:, :, :end]

    def advance(self, columns: int) -> None:
        """Make the columns of the last pass permanent."""
        self.length += columns

    def prefix(self) -> Prefix:
        """Return everything kept so far, as a prefix."""
        return Prefix([(k[:, :, : self.length], v[:, :, : self.length]) for k, v in self._buffers])


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
    memory: Memory | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention behind transformers' interface.

    Args:
        module: The attention layer; text layers carry `layer_idx` and `is_causal`.
        query: [B, H, Q, D].
        key: [B, G, Q, D].
        value: [B, G, Q, D].
        attention_mask: [B or 1, 1, Q, S], true where a query may look; None for plain causal or full attention.
        scaling: Factor on the scores; 1/sqrt(D) when None.
        dropout: Probability of dropping a weight.
        is_causal: Overrides the layer's own.
        memory: Where keys and values are kept or come from.

    Returns:
        [B, Q, H, D] and None, for attention weights are never formed.
    """
    if memory is not None:
        key, value = memory(int(module.layer_idx), key, value)  # type: ignore[arg-type]
    causal = bool(getattr(module, "is_causal", True)) if is_causal is None else is_causal
    groups = query.shape[1] // key.shape[1]
    output = nn.functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=attention_mask,
        dropout_p=dropout,
        scale=scaling,
        is_causal=causal and attention_mask is None and query.shape[2] > 1,
        enable_gqa=groups > 1,
    )
    return output.transpose(1, 2).contiguous(), None


AttentionInterface.register(ATTENTION, attention)
