"""The whole model: vision-language model, expert and projections, and the losses of one batch.

Submodules carry the names of the released checkpoint. Pure with respect to chance: noise and times come in.
The language model runs once a batch; its keys and values are captured on the way, and all noise draws of the
expert read them from the same place.

Shapes: B rows, L columns, P prefix columns, D draws, T = 64 steps, n label rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

from touge.alpamayo.action_projection import ActionProjection
from touge.alpamayo.action_space import ActionSpace
from touge.alpamayo.attention import ATTENTION, Capture, Memory, Prefix
from touge.alpamayo.batches import Batch, VisionFeatures
from touge.alpamayo.config import AlpamayoConfig
from touge.alpamayo.exact import ExactRotary
from touge.alpamayo.expert import Expert, expert_mask
from touge.alpamayo.flow_matching import flow_loss, noisy_action


@dataclass(frozen=True, slots=True)
class Losses:
    """The ingredients of the loss; weighting and averaging are the trainer's.

    Attributes:
        nll: [n] negative log-likelihood of each labelled token, float32; empty where tokens were not asked for.
        classes: [n] `LabelClass` of each.
        samples: [n] row of the batch of each.
        flow: [B, D] mean squared velocity error of each draw, float32; empty where not asked for.
    """

    nll: Tensor
    classes: Tensor
    samples: Tensor
    flow: Tensor


@dataclass(frozen=True, slots=True)
class Context:
    """What the expert knows of a row when it acts.

    Attributes:
        prefix: Keys and values of P columns.
        visible: [B, P], true where a column may be read.
        next_position: [B] rotary position of the first action step.
    """

    prefix: Prefix
    visible: Tensor
    next_position: Tensor


class AlpamayoR1(nn.Module):
    """Alpamayo-R1 of any size, with random weights until a checkpoint is loaded.

    Args:
        config: The architecture.
        dtype: Type of the weights. Rotary, Fourier and normalisation constants stay float32.
    """

    def __init__(self, config: AlpamayoConfig, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.config = config
        self.vlm = _vision_language_model(config)
        self.expert = Expert(config)
        dims = config.action_shape[1]
        self.action_in_proj = ActionProjection(config.action_projection, dims, self.expert.width, dtype)
        self.action_out_proj = nn.Linear(self.expert.width, dims)
        self.action_space = ActionSpace(config.action_space, dtype)
        self._set_dtype(dtype)

    def _set_dtype(self, dtype: torch.dtype) -> None:
        same = (self.action_in_proj, self.action_out_proj) if self.config.keep_same_dtype else ()
        for module in (self.vlm, self.expert, *same):
            module.to(dtype)

    def losses(  # noqa: PLR0913 - switches of one computation
        self,
        batch: Batch,
        noise: Tensor,
        times: Tensor,
        *,
        tokens: bool = True,
        trajectory: bool = True,
        insulate: bool = True,
        reference_padding: bool = False,
    ) -> Losses:
        """Return the losses of a training batch.

        Args:
            batch: Training form.
            noise: [B, D, T, 2] starting noise, float32.
            times: [B, D] in [0, 1].
            tokens: Whether the token losses are wanted; without them the language model stops at the prefix.
            trajectory: Whether the flow loss is wanted.
            insulate: Keep the flow loss from reaching the language model.
            reference_padding: Let the expert read padding, as the reference does; for comparison only.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and (tokens or not insulate)):
            hidden, capture = self._read(batch, length=batch.ids.shape[1] if tokens else batch.prefix_length)
        nll, classes, samples = self._token_losses(batch, hidden) if tokens else _no_tokens(noise)
        flow = noise.new_zeros(0)
        if trajectory:
            context = _training_context(batch, capture, insulate=insulate, reference_padding=reference_padding)
            flow = self._flow_losses(batch, context, noise, times)
        return Losses(nll, classes, samples, flow)

    def encode_images(self, pixel_values: Tensor, grids: Tensor) -> VisionFeatures:
        """Run the vision tower.

        Args:
            pixel_values: [patches, features].
            grids: [images, 3] frames, height, width in patches.

        Returns:
            Features of all images one after the other; `VisionFeatures.split` cuts them apart.
        """
        visual = self.vlm.model.visual
        output = visual(pixel_values.to(visual.patch_embed.proj.weight.dtype), grid_thw=grids)
        return VisionFeatures(output.pooler_output, tuple(output.deepstack_features))

    def embed(self, batch: Batch, length: int | None = None) -> tuple[Tensor, Tensor, VisionFeatures | None]:
        """Return embeddings [B, L, W] with images in their places, the mask of those [B, L], and their features."""
        ids = batch.ids[:, :length]
        embeddings = self.vlm.get_input_embeddings()(ids)
        image = ids == self.config.backbone["image_token_id"]
        vision = batch.vision
        if vision is None and batch.pixel_values is not None:
            vision = self.encode_images(batch.pixel_values, batch.grids)
        if vision is not None:
            embeddings = embeddings.masked_scatter(image[..., None], vision.embeds.to(embeddings.dtype))
        return embeddings, image, vision

    def language(
        self,
        embeddings: Tensor,
        positions: Tensor,
        mask: Tensor | None,
        memory: Memory,
        *,
        image: Tensor | None = None,
        vision: VisionFeatures | None = None,
    ) -> Tensor:
        """Run the language model's layers; return hidden states [B, Q, W] after the final norm."""
        output = self.vlm.model.language_model(
            inputs_embeds=embeddings,
            position_ids=positions,
            attention_mask=mask,
            visual_pos_masks=image if vision is not None else None,
            deepstack_visual_embeds=list(vision.deepstack) if vision is not None else None,
            use_cache=False,
            memory=memory,
        )
        return cast("Tensor", output.last_hidden_state)

    def velocity(self, x: Tensor, times: Tensor, context: Context) -> Tensor:
        """Return the expert's velocity [B, D, T, 2] at noisy actions [B, D, T, 2] and times [B, D]."""
        rows, draws, steps, _ = x.shape
        expert_dtype = self.expert.norm.weight.dtype
        embedded = self.action_in_proj(x.flatten(0, 1), times.flatten()).to(expert_dtype)
        at = context.next_position[:, None] + torch.arange(steps, device=x.device)
        positions = at.repeat(1, draws).expand(3, -1, -1)
        mask = expert_mask(context.visible, draws, steps, non_causal=self.config.non_causal)
        hidden = self.expert(embedded.unflatten(0, (rows, draws)).flatten(1, 2), context.prefix, positions, mask)
        velocity: Tensor = self.action_out_proj(hidden.to(self.action_out_proj.weight.dtype))
        return velocity.unflatten(1, (draws, steps))

    def _read(self, batch: Batch, length: int) -> tuple[Tensor, Capture]:
        """Run the language model over the first `length` columns; return hidden states, keys and values."""
        capture = Capture()
        embeddings, image, vision = self.embed(batch, length)
        mask = causal_mask(batch.visible[:, :length]) if batch.padded else None
        positions = batch.positions[:, :, :length]
        return self.language(embeddings, positions, mask, capture, image=image, vision=vision), capture

    def _token_losses(self, batch: Batch, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        labels = batch.labels
        if labels is None:
            message = "the batch is in its generation form; token losses need the training form"
            raise ValueError(message)
        logits = self.vlm.lm_head(hidden.flatten(0, 1)[labels.rows])
        nll = nn.functional.cross_entropy(logits.float(), labels.targets, reduction="none")
        return nll, labels.classes, labels.samples

    def _flow_losses(self, batch: Batch, context: Context, noise: Tensor, times: Tensor) -> Tensor:
        if batch.action is None:
            message = "the batch has no action; the flow loss needs the training form"
            raise ValueError(message)
        action = batch.action[:, None]
        velocity = self.velocity(noisy_action(action, noise, times), times, context)
        return flow_loss(velocity, action, noise)


def causal_mask(visible: Tensor) -> Tensor:
    """Return the causal mask [B, 1, L, L] of rows with padding [B, L]; padding sees itself, so no row is empty."""
    length = visible.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=visible.device).tril()
    itself = torch.eye(length, dtype=torch.bool, device=visible.device)
    return ((causal & visible[:, None, :]) | itself)[:, None]


def _vision_language_model(config: AlpamayoConfig) -> Qwen3VLForConditionalGeneration:
    backbone = Qwen3VLConfig(**config.backbone)
    backbone._attn_implementation = ATTENTION  # noqa: SLF001 - transformers' own way to choose one
    vlm = Qwen3VLForConditionalGeneration(backbone)
    text, visual = vlm.model.language_model, vlm.model.visual
    text.rotary_emb, visual.rotary_pos_emb = ExactRotary(text.rotary_emb), ExactRotary(visual.rotary_pos_emb)
    return vlm


def _training_context(batch: Batch, capture: Capture, *, insulate: bool, reference_padding: bool) -> Context:
    length = batch.prefix_length
    columns = torch.arange(length, device=batch.ids.device)
    visible = batch.visible[:, :length] & (columns <= batch.future_start[:, None])
    at_start = batch.positions[0].gather(1, batch.future_start[:, None])[:, 0]
    return Context(
        prefix=capture.prefix(length, detach=insulate),
        visible=torch.ones_like(visible) if reference_padding else visible,
        next_position=at_start + 1,
    )


def _no_tokens(like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    empty = torch.zeros(0, dtype=torch.long, device=like.device)
    return like.new_zeros(0), empty, empty
