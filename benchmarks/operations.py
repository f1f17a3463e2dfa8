"""How many operations a training step is made of, by a formula that anybody can check.

A product of [m, k] and [k, n] counts 2 m k n. For a sample of L tokens, P patches and D draws of T = 64 steps:

- a pass of the language model: 2 L x (weights of its layers); attention 4 L^2 / 2 x (width of all heads) a layer, for
  half of a causal score matrix is never formed;
- logits: 2 n x (weights of lm_head) for the n labelled tokens alone;
- vision: 2 P x (weights of a block) a block, attention 4 P x (patches of an image) x width, and the mergers;
- expert: 2 D T x (weights of its layers), attention 4 D T (L + D T) x (width of all heads) a layer.

Passes: the gradient of activations costs another pass of products, that of trained weights one more, and attention's
backward 2.5 of its forward. Adapters (0.6 % at rank 16) are not counted, nor norms, rotary embeddings and losses.
Layers computed again are not counted in `needed`, which is what the share of the measured rate refers to; they are in
`done`.
"""

from __future__ import annotations

from dataclasses import dataclass

from full_size import Sizes

_STEPS = 64


@dataclass(frozen=True, slots=True)
class Operations:
    """Floating-point operations of one step: those that the method needs, and those that are done."""

    needed: float
    done: float


def operations(
    sizes: Sizes, tokens: list[int], labels: int, patches: int, draws: int, *, full: bool, recompute: int
) -> Operations:
    """Count those of one step.

    Args:
        sizes: Of the model.
        tokens: Of each row, without padding.
        labels: Of all rows.
        patches: Of all rows.
        draws: A row.
        full: Whether all weights are trained, else adapters behind a frozen vision tower.
        recompute: Of every so many layers one is computed again; 0 none.
    """
    backward = 2.0 if full else 1.0
    language = 2 * sum(tokens) * sizes.layers * _layer_weights(sizes, sizes.hidden, sizes.mlp, sizes.heads)
    attention = sum(2 * n * n for n in tokens) * sizes.heads * sizes.head_dim * sizes.layers
    logits = 2 * labels * sizes.hidden * sizes.vocabulary
    acting = [draws * _STEPS] * len(tokens)
    expert = (
        2
        * sum(acting)
        * sizes.layers
        * _layer_weights(sizes, sizes.expert_hidden, sizes.expert_mlp, sizes.expert_heads)
    )
    looking = sum(4 * q * (n + q) for q, n in zip(acting, tokens, strict=True)) * sizes.expert_heads * sizes.head_dim
    products = (language + logits + expert) * (1 + backward) + 3.5 * (attention + looking * sizes.layers)
    vision, seeing = _vision(sizes, patches)
    needed = products + (vision * (1 + backward) + 3.5 * seeing if full else vision + seeing)
    again = (language + attention) / recompute if recompute else 0.0
    return Operations(needed, needed + again + (vision + seeing if recompute and full else 0.0))


def _layer_weights(sizes: Sizes, hidden: int, mlp: int, heads: int) -> int:
    return hidden * sizes.head_dim * (2 * heads + 2 * sizes.kv_heads) + 3 * hidden * mlp


def _vision(sizes: Sizes, patches: int) -> tuple[float, float]:
    """Return products and attention of one pass."""
    width = sizes.vision_hidden
    blocks = 2 * patches * sizes.vision_depth * (4 * width * width + 2 * width * sizes.vision_mlp)
    embedding = 2 * patches * width * 3 * 2 * 16 * 16
    merged = 4 * width
    mergers = 2 * (patches // 4) * (merged * merged + merged * sizes.hidden) * (1 + len(sizes.deepstack))
    attention = 4 * patches * sizes.patches_an_image * width * sizes.vision_depth
    return float(blocks + embedding + mergers), float(attention)
