"""One pass through transformers' Qwen3-VL text layers, driven layer by layer.

Driving the layers ourselves gives the masks, the rotary positions and the memory of keys and values that
Alpamayo needs, for language model and expert alike, with neither a cache object nor a patch. A layer is a function of
tensors alone, so that it can be compiled once for all layers and computed again in the backward pass.

Shapes: B rows, Q queries, S keys, C width, G key/value heads, D head size.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from touge.alpamayo.budget.economy import Economy
from touge.alpamayo.layers.attention import KeyValue, LayerMemory, Memory

#: Kinds of layers (language model, expert; with and without gradient) times lengths that a training meets.
_COMPILED_VARIANTS = 64


def decode(
    text_model: Any,
    embeddings: Tensor,
    positions: Tensor,
    mask: Tensor | None,
    memory: Memory,
    *,
    economy: Economy,
    images: Tensor | None = None,
    deepstack: Sequence[Tensor] = (),
) -> Tensor:
    """Return the final hidden states [B, Q, C].

    Args:
        text_model: A `Qwen3VLTextModel`.
        embeddings: [B, Q, C].
        positions: [3, B, Q] rotary positions: time, height, width.
        mask: [B or 1, 1, Q, S], true where a query may look; None for plain causal attention.
        memory: Where keys and values are kept and others come from.
        economy: How the layers run.
        images: [tokens] where image tokens stand in the B Q tokens of the batch.
        deepstack: Features [tokens, C] added at image tokens behind the first layers
            (arXiv 2406.04334).
    """
    rotary, bias = text_model.rotary_emb(embeddings, positions), _attention_bias(mask, embeddings.dtype)
    hidden = embeddings
    if economy.compiler and torch.is_grad_enabled() and not hidden.requires_grad:
        hidden = hidden.detach().requires_grad_()  # else the first layer would be compiled apart from all others
    for index, layer in enumerate(text_model.layers):
        run = _runner(economy, index)
        hidden, key, value = run(layer, hidden, rotary, bias, memory.before(index))
        memory.keep(index, key, value)
        if index < len(deepstack) and images is not None:
            update = deepstack[index].to(hidden.dtype)
            hidden = hidden.flatten(0, 1).index_add(0, images, update).view_as(hidden)
    return text_model.norm(hidden)


def block(
    layer: nn.Module, hidden: Tensor, rotary: tuple[Tensor, Tensor], bias: Tensor | None, before: KeyValue | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one decoder layer over [B, Q, C]; return its output, and its own keys and values [B, G, Q, D]."""
    memory = LayerMemory(before)
    output = layer(hidden, position_embeddings=rotary, attention_mask=bias, memory=memory)
    return output, *memory.own


def _attention_bias(mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Return what is added to the scores: 0 where a mask is true. Every layer would make it of the mask anew."""
    return None if mask is None else torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, -torch.inf)


@functools.cache
def _compiled(backend: str) -> Callable[..., Any]:
    torch._dynamo.config.recompile_limit = _COMPILED_VARIANTS  # noqa: SLF001 - no other way to set it
    return torch.compile(block, backend=backend)


def _runner(economy: Economy, index: int) -> Callable[..., Any]:
    """Return what runs layer `index`."""
    run = _compiled(economy.compiler) if economy.compiler and not economy.compiled_inside else block
    if economy.recompute and index % economy.recompute == 0 and torch.is_grad_enabled():
        return functools.partial(checkpoint, run, use_reentrant=False, preserve_rng_state=not economy.cuda_graphs)
    return run


def causal_mask(attention_mask: Tensor) -> Tensor:
    """Return the mask [B, 1, L, L] of a padded batch [B, L]."""
    length = attention_mask.shape[1]
    lower = torch.ones(length, length, dtype=torch.bool, device=attention_mask.device).tril()
    return (lower & attention_mask.bool()[:, None, :])[:, None]


def draws_mask(prefix: Tensor, steps: int, *, causal: bool) -> Tensor:
    """Return the mask [B, 1, D T, P + D T] of D draws that see the prefix and each itself alone.

    Args:
        prefix: [B, D, P], true where a draw may read the prefix.
        steps: T.
        causal: Whether a step sees only its past within its draw.
    """
    rows, draws, _ = prefix.shape
    block = torch.block_diag(*[torch.ones(steps, steps, device=prefix.device)] * draws).bool()
    own = block.tril() if causal else block
    read = prefix.bool().repeat_interleave(steps, dim=1)
    return torch.cat([read, own.expand(rows, -1, -1)], dim=-1)[:, None]
