"""The action expert: a narrower Qwen3-VL text transformer that reads the language model's keys and values.

It has no embedding table and no cache of its own: layer i attends to layer i of the prefix, then to its own
tokens (arXiv 2511.00088, section 3).

Shapes: B rows, P prefix columns, D draws of T = 64 steps each, E expert width.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLTextConfig
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLTextModel

from touge.alpamayo.attention import ATTENTION, Prefix
from touge.alpamayo.config import AlpamayoConfig
from touge.alpamayo.exact import ExactRotary


class Expert(nn.Module):
    """Decoder layers, final norm and rotary embedding of a text model built from the expert's configuration."""

    def __init__(self, config: AlpamayoConfig) -> None:
        super().__init__()
        text_config = Qwen3VLTextConfig(**config.expert_text)
        text_config._attn_implementation = ATTENTION  # noqa: SLF001 - transformers' own way to choose one
        text = Qwen3VLTextModel(text_config)
        self.layers, self.norm, self.rotary_emb = text.layers, text.norm, ExactRotary(text.rotary_emb)
        self.width: int = text_config.hidden_size

    def forward(self, embeddings: Tensor, prefix: Prefix, positions: Tensor, mask: Tensor) -> Tensor:
        """Transform action embeddings.

        Args:
            embeddings: [B, D * T, E].
            prefix: The language model's keys and values, P columns.
            positions: [3, B, D * T] rotary positions.
            mask: [B, 1, D * T, P + D * T], true where a token may look.

        Returns:
            [B, D * T, E].
        """
        rotary = self.rotary_emb(embeddings, positions)
        hidden = embeddings
        for layer in self.layers:
            hidden = layer(hidden, position_embeddings=rotary, attention_mask=mask, memory=prefix)
        return cast("Tensor", self.norm(hidden))


def expert_mask(visible: Tensor, draws: int, steps: int, *, non_causal: bool) -> Tensor:
    """Return who sees whom when `draws` noise draws stand in one row.

    A draw sees the row's visible prefix and itself, never another draw.

    Args:
        visible: [B, P], true at prefix columns that exist.
        draws: D.
        steps: T.
        non_causal: Whether a step sees the later steps of its own draw.

    Returns:
        [B, 1, D * T, P + D * T] bool.
    """
    block = torch.ones(steps, steps, dtype=torch.bool, device=visible.device)
    own = torch.block_diag(*[block if non_causal else block.tril()] * draws).bool()
    rows, own_length = len(visible), draws * steps
    return torch.cat(
        [visible[:, None, :].expand(-1, own_length, -1), own.expand(rows, -1, -1)], dim=2
    )[:, None]
