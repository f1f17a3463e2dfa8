"""The reference code's numbers, reproduced in float32 to 1e-4 (gradient norms: 1e-3)."""

import pytest
import torch

from touge.alpamayo.actions.flow_matching import sample
from touge.alpamayo.inputs.trajectory_tokens import future_bins, history_bins
from touge.alpamayo.layers.attention import Capture
from touge.alpamayo.model import Context


def losses(golden):
    noise, time = golden.tensors["noise"][:, None], golden.tensors["timesteps"][:, None]
    return golden.model.losses(golden.batch, noise, time, reference_masks=True)


def test_a_trajectory_becomes_the_reference_action(golden):
    history, future = golden.history, golden.future

    action = golden.model.action_space.to_action(history[..., :2], history[..., 3], future[..., :2], future[..., 3])

    torch.testing.assert_close(action, golden.tensors["action"], rtol=1e-4, atol=1e-4)


def test_trajectories_are_fused_into_the_same_tokens(golden):
    config, words = golden.model.config, golden.model.vocabulary
    fused = golden.tensors["input_ids"].clone()
    past = history_bins(golden.history[..., :3], config.history_tokens) + words.trajectory_start + words.history_offset
    ahead = future_bins(golden.tensors["action"], config.future_tokens) + words.trajectory_start
    fused[fused == words.history] = past.flatten()
    fused[fused == words.future] = ahead.flatten()

    assert torch.equal(golden.tensors["fused_input_ids"], fused)


def test_cross_entropy_and_flow_loss_are_the_reference_ones(golden):
    with torch.no_grad():
        ours = losses(golden)

    assert ours.nll.mean().item() == pytest.approx(golden.facts["ce_loss"], rel=1e-4)
    assert ours.flow.mean().item() == pytest.approx(golden.facts["fm_loss"], rel=1e-4)


def test_every_gradient_has_the_reference_norm(golden):
    golden.model.zero_grad()
    ours = losses(golden)
    (ours.nll.mean() + ours.flow.mean()).backward()

    norms = {name: parameter.grad.norm().item() for name, parameter in golden.model.named_parameters()}
    assert norms == pytest.approx(golden.facts["grad_norm"], rel=1e-3, abs=1e-6)


def test_the_flow_loss_does_not_reach_the_language_model(golden):
    golden.model.zero_grad()
    losses(golden).flow.mean().backward()

    assert all(parameter.grad is None for parameter in golden.model.vlm.parameters())
    assert all(parameter.grad is not None for parameter in golden.model.expert.parameters())


def test_the_flow_loss_changes_with_the_images(golden):
    from dataclasses import replace

    noise, time = golden.tensors["noise"][:, None], golden.tensors["timesteps"][:, None]
    with torch.no_grad():
        seen = golden.model.losses(golden.batch, noise, time).flow
        other = golden.model.losses(replace(golden.batch, pixels=-golden.batch.pixels), noise, time).flow

    assert not torch.allclose(seen, other, rtol=1e-5)


def test_draws_do_not_see_one_another(golden):
    generator = torch.Generator().manual_seed(0)
    rows = len(golden.batch.ids)
    noise = torch.randn(rows, 3, *golden.model.config.action_shape, generator=generator)
    time = torch.rand(rows, 3, generator=generator)
    with torch.no_grad():
        together = golden.model.losses(golden.batch, noise, time).flow
        alone = [golden.model.losses(golden.batch, noise[:, [d]], time[:, [d]]).flow for d in range(3)]

    torch.testing.assert_close(together, torch.cat(alone, dim=1), rtol=1e-4, atol=1e-5)


def test_an_action_is_driven_to_the_reference_trajectory(golden):
    history = golden.history[:1]

    ours = golden.model.action_space.to_trajectory(golden.tensors["sampled_action"], history[..., :2], history[..., 3])

    torch.testing.assert_close(ours[..., :2], golden.tensors["pred_xyz"][:, 0, 0, :, :2], rtol=1e-4, atol=1e-4)


def test_a_sampled_action_follows_the_reference_one(golden):
    """Ten Euler steps multiply a last-bit difference by thousands (docs/decisions/002): medians, not maxima."""
    batch, memory = golden.generated(), Capture()
    with torch.no_grad():
        golden.model.read(batch, memory)
    context = Context(memory.prefix(batch.prefix), batch.attention_mask, batch.positions[0, :, -1] + 1)

    steps = golden.model.config.flow.num_inference_steps
    action = sample(lambda x, t: golden.model.velocity(context, x, t), golden.tensors["x0"][:, None], steps)[:, 0]

    error = (action - golden.tensors["sampled_action"]).abs()
    assert error.median() < 1e-3
    assert error.max() < 0.1
