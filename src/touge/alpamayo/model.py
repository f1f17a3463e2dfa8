"""The whole model: vision-language model, expert and projections, and the losses of one batch.

Submodules carry the names of the released checkpoint. Pure with respect to chance: noise and times come in.
The language model runs once a batch; its keys and values are captured on the way, and every noise draw of the expert
reads them.

Shapes: B rows, L columns, P prefix columns, D draws, T = 64 steps, C language model's width, n label rows.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

from touge.alpamayo.actions.action_projection import ActionProjection
from touge.alpamayo.actions.action_space import ActionSpace
from touge.alpamayo.actions.flow_matching import flow_loss, noisy_action
from touge.alpamayo.budget.economy import Economy
from touge.alpamayo.budget.host import Guest, settle
from touge.alpamayo.config import AlpamayoConfig
from touge.alpamayo.inputs.batch import Batch, VisionFeatures
from touge.alpamayo.inputs.images import normalised
from touge.alpamayo.inputs.vocabulary import Vocabulary
from touge.alpamayo.layers.adapted import multiply_in_activations_type
from touge.alpamayo.layers.attention import ATTENTION, IMAGE_ATTENTION, Capture, Memory, Prefix
from touge.alpamayo.layers.decoder import decode, draws_mask
from touge.alpamayo.layers.exact import ExactRotary
from touge.alpamayo.layers.expert import Expert
from touge.alpamayo.layers.layout import Layout
from touge.alpamayo.layers.logits import logits_of
from touge.alpamayo.layers.patch_embedding import PatchEmbedding


@dataclass(frozen=True, slots=True)
class Losses:
    """The ingredients of the loss; weighting and averaging are the trainer's.

    Attributes:
        nll: [n] negative log-likelihood of each labelled token, float32, row by row.
        reasoning: [n], true where the token belongs to the reasoning.
        flow: [B, D] mean squared velocity error of each draw, float32.
    """

    nll: Tensor
    reasoning: Tensor
    flow: Tensor


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch as the layers take it. What has to look at numbers to know a shape is done; the rest is arithmetic.

    Attributes:
        layout: Where everything stands.
        embeddings: [B, L, C] words and images.
        deepstack: One [tokens, C] a deepstack level.
        action: [B, T, 2] normalised future.
    """

    layout: Layout
    embeddings: Tensor
    deepstack: tuple[Tensor, ...]
    action: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """Return all of it by name."""
        levels = {f"deepstack.{level}": tensor for level, tensor in enumerate(self.deepstack)}
        return {**self.layout.tensors(), **levels, "embeddings": self.embeddings, "action": self.action}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Return what these are the `tensors` of."""
        levels = [name for name in tensors if name.startswith("deepstack.")]
        deepstack = tuple(tensors[name] for name in levels)
        return cls(Layout.of_tensors(tensors), tensors["embeddings"], deepstack, tensors["action"])


@dataclass(frozen=True, slots=True)
class Context:
    """What the expert knows of a row when it acts.

    Attributes:
        prefix: Keys and values of P columns.
        mask: [B, P], true where a column may be read; [B, D, P] where each draw may read others.
        position: [B] rotary position of the first action step; [B, D] where each draw has its own.
    """

    prefix: Prefix
    mask: Tensor
    position: Tensor

    def of_draws(self, draws: int) -> Context:
        """Return the same with mask and position of each draw."""
        if self.mask.dim() == 3:
            return self
        each = self.mask[:, None].expand(-1, draws, -1), self.position[:, None].expand(-1, draws)
        return Context(self.prefix, *each)

    def repeated(self, draws: int) -> Context:
        """Return the context of B * draws rows of one draw each, those of a row side by side."""
        each = self.of_draws(draws)
        return Context(
            self.prefix.repeated(draws), each.mask.flatten(0, 1)[:, None], each.position.flatten(0, 1)[:, None]
        )


class AlpamayoR1(nn.Module):
    """Alpamayo-R1 of any size, with random weights until a checkpoint is loaded.

    Args:
        config: The architecture.
        dtype: Type in which Fourier and normalisation constants are rounded; `checkpoint.cast` gives it to weights.
    """

    def __init__(self, config: AlpamayoConfig, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.config = config
        self.economy = Economy()
        self._guest: Guest | None = None
        self.vocabulary = Vocabulary.of(config)
        self.vlm = _vision_language_model(config)
        self.expert = Expert(config)
        dims = config.action_shape[1]
        self.action_in_proj = ActionProjection(config.action_projection, dims, self.expert.width, dtype)
        self.action_out_proj = nn.Linear(self.expert.width, dims)
        self.action_space = ActionSpace(config.action_space, dtype)

    def economise(self, economy: Economy) -> None:
        """Arrange to run so, on the device: where weights live first, or not at all; the rest with adapters in place.

        Raises:
            ValueError: If a part that is trained should live on the host.
        """
        text, visual = self.vlm.model.language_model, self.vlm.model.visual
        if economy.recompute and any(parameter.requires_grad for parameter in visual.parameters()):
            for layer in visual.blocks[:: economy.recompute]:
                layer.gradient_checkpointing = True
                layer._gradient_checkpointing_func = functools.partial(checkpoint, use_reentrant=False)  # noqa: SLF001
        if economy.words_on_host:
            _check_frozen(text.embed_tokens, "words_on_host")
            settle(text.embed_tokens.weight)
        if economy.vision_on_host and self._guest is None:
            _check_frozen(visual, "vision_on_host")
            self._guest = Guest(visual)
        if economy.rounded_adapters:
            multiply_in_activations_type(self)
        if economy.compiler and economy.compiled_inside:
            for layer in (*visual.blocks, *text.layers, *self.expert.layers):
                layer.forward = torch.compile(layer.forward, backend=economy.compiler)
        elif economy.compiler:
            for layer in visual.blocks:
                layer.compile(backend=economy.compiler)
        self.economy = economy

    def losses(
        self, batch: Batch, noise: Tensor, time: Tensor, *, reach: float = 0.0, reference_masks: bool = False
    ) -> Losses:
        """Return the losses of a batch in training form.

        Args:
            batch: B rows.
            noise: [B, D, T, 2] starting noise, float32.
            time: [B, D] in [0, 1].
            reach: How much of the flow loss's gradient goes on into the language model; 0 insulates it
                (arXiv 2505.23705).
            reference_masks: Mask the expert as the reference does in training (docs/decisions/002), for its vectors.
        """
        prepared = self.prepare(batch)
        return self.losses_of(prepared, noise, time, reach=reach, reference_masks=reference_masks)

    def prepare(self, batch: Batch) -> Prepared:
        """Lay a batch out, and embed its words and images."""
        return self._prepared(batch, Layout.of(batch, self.vocabulary.image, self.economy.columns))

    def losses_of(
        self, prepared: Prepared, noise: Tensor, time: Tensor, *, reach: float = 0.0, reference_masks: bool = False
    ) -> Losses:
        """Return the losses of a batch that is prepared, without one look at the numbers; see `losses`."""
        layout, capture = prepared.layout, Capture()
        hidden = self._read(prepared, capture)
        context = Context(
            prefix=capture.prefix(layout.readable.shape[1], reach=reach),
            mask=torch.ones_like(layout.readable) if reference_masks else layout.readable,
            position=layout.start,
        )
        action = prepared.action[:, None]
        velocity = self.velocity(context, noisy_action(action, noise, time), time, causal=reference_masks)
        return Losses(
            nll=self._nll(layout, hidden),
            reasoning=layout.reasoning,
            flow=flow_loss(velocity, action, noise),
        )

    def read(self, batch: Batch, memory: Memory) -> Tensor:
        """Run the language model over a batch as it comes; return hidden states [B, L, C] after the final norm."""
        return self._read(self._prepared(batch, Layout.of(batch, self.vocabulary.image)), memory)

    def encode_images(self, pixels: Tensor, grid: Tensor) -> VisionFeatures:
        """Run the vision tower over pixels [patches, D] of images with grids [images, 3]; see `Batch`."""
        visual = self.vlm.model.visual
        embedding = visual.patch_embed.proj
        given = normalised(pixels, embedding.kernel_size[0], embedding.weight.dtype)
        with self._guest.visiting() if self._guest else contextlib.nullcontext():
            output = visual(given, grid_thw=grid)
        return VisionFeatures(output.pooler_output, tuple(output.deepstack_features))

    def _prepared(self, batch: Batch, layout: Layout) -> Prepared:
        vision = batch.features or self.encode_images(_pixels(batch), batch.grid)
        return Prepared(layout, self._embeddings(layout, vision), vision.deepstack, batch.action)

    def _read(self, prepared: Prepared, memory: Memory) -> Tensor:
        """Run the language model over a batch that is prepared."""
        return decode(
            self.vlm.model.language_model,
            prepared.embeddings,
            prepared.layout.positions,
            prepared.layout.mask,
            memory,
            economy=self.economy,
            images=prepared.layout.images,
            deepstack=prepared.deepstack,
        )

    def _embeddings(self, layout: Layout, vision: VisionFeatures) -> Tensor:
        """Return [B, L, C]: words from the table, images from the vision tower."""
        ids = layout.input_ids.flatten()
        words = self.words(ids[layout.words])
        empty = words.new_empty(len(ids), words.shape[1])
        joined = empty.index_copy(0, layout.words, words).index_copy(
            0, layout.images, vision.embeddings.to(words.dtype)
        )
        return joined.unflatten(0, layout.input_ids.shape)

    def words(self, ids: Tensor) -> Tensor:
        """Return the embeddings [..., C] of tokens [...] on the tokens' device, wherever the table lives."""
        table = self.vlm.model.language_model.embed_tokens
        return table(ids.to(table.weight.device)).to(ids.device)

    def velocity(self, context: Context, x: Tensor, time: Tensor, *, causal: bool | None = None) -> Tensor:
        """Return the expert's velocity [B, D, T, 2] at noisy actions [B, D, T, 2] and times [B, D].

        Args:
            context: What the rows know.
            x: Noisy actions, float32.
            time: In [0, 1].
            causal: Whether a step sees only its past; as the configuration says when None.

        Draws that share a pass are all computed with all and masked, but hold a long prefix once. A short prefix is
        rather repeated, and each draw has a row of its own (`benchmarks/draws.py`).
        """
        causal = not self.config.non_causal if causal is None else causal
        draws, steps = x.shape[1:3]
        if context.mask.shape[-1] >= draws * steps:
            return self._velocity(context, x, time, causal=causal)
        alone = x.flatten(0, 1)[:, None], time.flatten()[:, None]
        return self._velocity(context.repeated(draws), *alone, causal=causal).view_as(x)

    def _velocity(self, context: Context, x: Tensor, time: Tensor, *, causal: bool) -> Tensor:
        """Return the same, with one pass for all draws of a row."""
        rows, draws, steps, _ = x.shape
        context = context.of_draws(draws)
        embedded = self.action_in_proj(x.flatten(0, 1), time.flatten()).to(self.expert.norm.weight.dtype)
        positions = (context.position[..., None] + torch.arange(steps, device=x.device)).flatten(1)
        hidden = self.expert(
            embedded.unflatten(0, (rows, draws)).flatten(1, 2),
            context.prefix,
            positions.expand(3, -1, -1),
            draws_mask(context.mask, steps, causal=causal),
            self.economy,
        )
        velocity: Tensor = self.action_out_proj(hidden.to(self.action_out_proj.weight.dtype))
        return velocity.unflatten(1, (draws, steps))

    def _nll(self, layout: Layout, hidden: Tensor) -> Tensor:
        """Return the negative log-likelihood of labelled tokens: logits of these rows alone are ever formed."""
        logits = logits_of(self.vlm.lm_head, hidden.flatten(0, 1)[layout.learnt])
        return nn.functional.cross_entropy(logits.float(), layout.labels, reduction="none")


def _check_frozen(module: nn.Module, setting: str) -> None:
    if any(parameter.requires_grad for parameter in module.parameters()):
        raise ValueError(f"{setting}: what is trained has to stay on the device")


def _pixels(batch: Batch) -> Tensor:
    if batch.pixels is None:
        raise ValueError("the batch has neither pixels nor vision features")
    return batch.pixels


def _vision_language_model(config: AlpamayoConfig) -> Qwen3VLForConditionalGeneration:
    backbone = Qwen3VLConfig(**config.backbone)
    backbone._attn_implementation = ATTENTION  # noqa: SLF001 - transformers' own way to choose one
    vlm = Qwen3VLForConditionalGeneration(backbone)
    text, visual = vlm.model.language_model, vlm.model.visual
    text.rotary_emb, visual.rotary_pos_emb = ExactRotary(text.rotary_emb), ExactRotary(visual.rotary_pos_emb)
    visual.patch_embed = PatchEmbedding(visual.patch_embed)
    visual.config._attn_implementation = IMAGE_ATTENTION  # noqa: SLF001 - the same
    return vlm
