"""One pass through transformers' Qwen3-VL text layers, driven layer by layer.

Driving the layers ourselves gives the masks, the rotary positions and the memory of keys and values that
Alpamayo needs, for language model and expert alike, with neither a cache object nor a patch.

Shapes: B rows, Q queries, S keys, C width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from touge.alpamayo.attention import Memory


def decode(
    text_model: Any,
    embeddings: Tensor,
    positions: Tensor,
    mask: Tensor | None,
    *,
    memory: Memory | None = None,
    image_columns: Tensor | None = None,
    deepstack: Sequence[Tensor] = (),
) -> Tensor:
    """Return the final hidden states [B, Q, C].

    Args:
        text_model: A `Qwen3VLTextModel`.
        embeddings: [B, Q, C].
        positions: [3, B, Q] rotary positions: time, height, width.
        mask: [B or 1, 1, Q, S], true where a query may look; None for plain causal attention.
        memory: Where keys and values are kept or come from.
        image_columns: [B, Q], true at image tokens.
        deepstack: Features [tokens, C] added at image tokens behind the first layers
            (arXiv 2406.04334).
    """
    rotary = text_model.rotary_emb(embeddings, positions)
    hidden = embeddings
    for index, layer in enumerate(text_model.layers):
        hidden = layer(hidden, position_embeddings=rotary, attention_mask=mask, memory=memory)
        if index < len(deepstack) and image_columns is not None:
            hidden = _added(hidden, image_columns, deepstack[index])
    return text_model.norm(hidden)


def causal_mask(attention_mask: Tensor) -> Tensor | None:
    """Return the mask [B, 1, L, L] of a left-padded batch [B, L], or None where nothing is padded."""
    if bool(attention_mask.all()):
        return None
    length = attention_mask.shape[1]
    lower = torch.ones(length, length, dtype=torch.bool, device=attention_mask.device).tril()
    return (lower & attention_mask.bool()[:, None, :])[:, None]


def draws_mask(prefix: Tensor, draws: int, steps: int, *, causal: bool) -> Tensor:
    """Return the mask [B, 1, D T, P + D T] of D draws that see the prefix and each itself alone.

    Args:
        prefix: [B, P], true where the prefix is no padding.
        draws: D.
        steps: T.
        causal: Whether a step sees only its past within its draw.
    """
    length = draws * steps
    block = torch.block_diag(*[torch.ones(steps, steps, device=prefix.device)] * draws).bool()
    own = block.tril() if causal else block
    rows = len(prefix)
    return torch.cat([prefix.bool()[:, None].expand(-1, length, -1), own.expand(rows, -1, -1)], dim=-1)[:, None]


def _added(hidden: Tensor, columns: Tensor, features: Tensor) -> Tensor:
    update = torch.zeros_like(hidden)
    update[columns] = features.to(hidden.dtype)
    return hidden + update
