"""The same step and the same rollout as the reference computes them, for comparison; nothing of `touge` speeds them up.

transformers' own forward with a cache, the loss over the logits of all tokens, PEFT's linears as they come, attention
by transformers' `sdpa`, no compilation, no recomputation, one language model's pass a rollout.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from touge.alpamayo.actions.flow_matching import flow_loss, noisy_action, sample
from touge.alpamayo.inputs.batch import Batch
from touge.alpamayo.inputs.images import normalised
from touge.alpamayo.model import AlpamayoR1


def use_plain_attention(model: AlpamayoR1) -> None:
    """Give every part transformers' own attention."""
    parts = (model.vlm, model.vlm.model, model.vlm.model.language_model, model.vlm.model.visual)
    for config in [part.config for part in parts] + [layer.self_attn.config for layer in model.expert.layers]:
        config._attn_implementation = "sdpa"  # noqa: SLF001 - transformers' own way to choose one


def loss(model: AlpamayoR1, batch: Batch, noise: Tensor, time: Tensor) -> Tensor:
    """Return cross-entropy plus flow loss of a batch without padding, one draw a row."""
    output = _read(model, batch, labels=torch.where(batch.labels, batch.input_ids, -100))
    cache = _detached(output.past_key_values, batch.prefix)
    position = batch.positions[0, :, batch.prefix - 1] + 1
    action = batch.action[:, None]
    velocity = _velocity(model, cache, position, noisy_action(action, noise, time)[:, 0], time[:, 0])
    return output.loss + flow_loss(velocity[:, None], action, noise).mean()


@torch.no_grad()
def rollouts(model: AlpamayoR1, batch: Batch, count: int, tokens: int) -> list[Tensor]:
    """Return the trajectories of so many rollouts with so many words each, one after the other."""
    return [_rollout(model, batch, tokens) for _ in range(count)]


def _rollout(model: AlpamayoR1, batch: Batch, tokens: int) -> Tensor:
    output = _read(model, batch, logits_to_keep=1)
    cache, position = output.past_key_values, batch.positions[0, :, -1] + 1
    for _ in range(tokens):
        token = _drawn(output.logits[:, -1].float() / 0.6, 0.98)
        output = model.vlm(
            input_ids=token,
            position_ids=position.expand(3, 1, 1),
            past_key_values=cache,
            use_cache=True,
        )
        position = position + 1
    shape = (1, *model.config.action_shape)

    def velocity(x: Tensor, time: Tensor) -> Tensor:
        moved = _velocity(model, cache, position, x, time)
        cache.crop(-x.shape[1])
        return moved

    action = sample(velocity, torch.randn(shape, device=position.device), model.config.flow.num_inference_steps)
    return model.action_space.to_trajectory(action, batch.history[..., :2], batch.history[..., 3])


def _read(model: AlpamayoR1, batch: Batch, **options: Any) -> Any:
    return model.vlm(
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask.long(),
        pixel_values=normalised(batch.pixels, model.vlm.config.vision_config.temporal_patch_size, model.vlm.dtype),
        image_grid_thw=batch.grid,
        mm_token_type_ids=(batch.input_ids == model.vocabulary.image).int(),
        use_cache=True,
        **options,
    )


def _velocity(model: AlpamayoR1, cache: DynamicCache, position: Tensor, x: Tensor, time: Tensor) -> Tensor:
    """Return the expert's velocity [B, T, 2] behind a cache, which grows by T columns."""
    expert = model.expert
    hidden = model.action_in_proj(x, time).to(expert.norm.weight.dtype)
    positions = position[:, None] + torch.arange(x.shape[1], device=x.device)
    rotary = expert.rotary_emb(hidden, positions.expand(3, -1, -1))
    seen = hidden.new_zeros(1, 1, x.shape[1], cache.get_seq_length() + x.shape[1])
    for layer in expert.layers:
        hidden = layer(hidden, position_embeddings=rotary, attention_mask=seen, past_key_values=cache)
    velocity: Tensor = model.action_out_proj(expert.norm(hidden))
    return velocity


def _detached(cache: DynamicCache, length: int) -> DynamicCache:
    """Return the first columns of a cache, cut off from the gradient."""
    other = DynamicCache()
    for index, layer in enumerate(cache.layers):
        other.update(layer.keys[:, :, :length].detach(), layer.values[:, :, :length].detach(), index)
    return other


def _drawn(logits: Tensor, top_p: float) -> Tensor:
    """Draw one token [1, 1] from the nucleus, as transformers' sampling does."""
    ordered, order = logits.sort(descending=True)
    outside = ordered.softmax(dim=-1).cumsum(dim=-1) - ordered.softmax(dim=-1) >= top_p
    drawn = ordered.masked_fill(outside, -torch.inf).softmax(dim=-1).multinomial(1)
    return order.gather(-1, drawn)
