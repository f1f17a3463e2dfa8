"""The action expert: a narrower Qwen3-VL text transformer that reads the language model's keys and values.

It has no embedding table and no cache of its own: layer i attends to layer i of the prefix, then to its own
tokens (arXiv 2511.00088, section 3).
"""

from __future__ import annotations

from torch import Tensor, nn
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLTextConfig
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLTextModel

from touge.alpamayo.budget.economy import Economy
from touge.alpamayo.config import AlpamayoConfig
from touge.alpamayo.layers.attention import ATTENTION, Prefix
from touge.alpamayo.layers.decoder import decode
from touge.alpamayo.layers.exact import ExactRotary


class Expert(nn.Module):
    """Decoder layers, final norm and rotary embedding of a text model built from the expert's configuration."""

    def __init__(self, config: AlpamayoConfig) -> None:
        super().__init__()
        text_config = Qwen3VLTextConfig(**config.expert_text)
        text_config._attn_implementation = ATTENTION  # noqa: SLF001 - transformers' own way to choose one
        text = Qwen3VLTextModel(text_config)
        self.layers, self.norm, self.rotary_emb = text.layers, text.norm, ExactRotary(text.rotary_emb)
        self.width: int = text_config.hidden_size

    def forward(self, embeddings: Tensor, prefix: Prefix, positions: Tensor, mask: Tensor, economy: Economy) -> Tensor:
        """Transform action embeddings of D draws with T steps each behind P prefix columns.

        Args:
            embeddings: [B, D * T, E].
            prefix: The language model's keys and values, P columns.
            positions: [3, B, D * T] rotary positions.
            mask: [B, 1, D * T, P + D * T], true where a token may look.
            economy: How the layers run.

        Returns:
            [B, D * T, E].
        """
        return decode(self, embeddings, positions, mask, prefix, economy=economy)
