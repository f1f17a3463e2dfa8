"""What saves memory or time changes neither losses nor gradients."""

from dataclasses import replace

import pytest
import torch

from touge.alpamayo.actions.flow_matching import flow_loss, noisy_action
from touge.alpamayo.budget.economy import Economy
from touge.alpamayo.layers.attention import Capture, Prefix
from touge.alpamayo.layers.layout import Layout
from touge.alpamayo.model import AlpamayoR1, Context
from touge.alpamayo.weights import lora

ON_HOST = Economy(words_on_host=True, vision_on_host=True)
ECONOMIES = {
    "every layer again": Economy(recompute=1),
    "every second layer again": Economy(recompute=2),
    "round lengths": Economy(columns=64),
    "rounded adapters": Economy(rounded_adapters=True),
    "on the host": ON_HOST,
    "compiled": Economy(compiler="aot_eager", columns=64),
    "compiled within layers": Economy(compiler="aot_eager", columns=64, compiled_inside=True),
    "all": replace(ON_HOST, compiler="aot_eager", recompute=1, columns=64, rounded_adapters=True),
}


@pytest.fixture
def adapted(config_and_tokenizer):
    """Make the same adapted model as often as asked; its adapters have something to say."""

    def make(dtype=torch.float32):
        torch.manual_seed(0)
        model = AlpamayoR1(config_and_tokenizer[0]).eval()
        for parameter in model.parameters():
            parameter.data = parameter.data.to(dtype)
        lora.inject(model, lora.Adapter(rank=4, alpha=8))
        dice = torch.Generator().manual_seed(2)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.data = torch.randn(parameter.shape, generator=dice) * 0.05
        return model

    return make


@pytest.fixture
def uneven(encoder, window):
    """Two windows of different lengths."""
    return encoder.collate([encoder.training(window(1)), encoder.training(window(2, text="Keep going straight."))])


def drawn(model, batch, draws=2):
    dice = torch.Generator().manual_seed(1)
    shape = (len(batch.ids), draws)
    return torch.randn(*shape, *model.config.action_shape, generator=dice), torch.rand(*shape, generator=dice)


def gradients(model, batch, **options):
    """Return losses and the gradient of each trained parameter."""
    model.zero_grad()
    losses = model.losses(batch, *drawn(model, batch), **options)
    (losses.nll.mean() + losses.flow.mean()).backward()
    return losses, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("economy", ECONOMIES.values(), ids=ECONOMIES.keys())
def test_an_economy_changes_neither_losses_nor_gradients(adapted, uneven, economy):
    plain, frugal = adapted(), adapted()
    frugal.economise(economy)

    expected, expected_gradients = gradients(plain, uneven)
    found, found_gradients = gradients(frugal, uneven)

    torch.testing.assert_close(found.nll, expected.nll, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.flow, expected.flow, rtol=1e-4, atol=1e-5)
    assert found_gradients.keys() == expected_gradients.keys()
    for name, gradient in expected_gradients.items():
        torch.testing.assert_close(found_gradients[name], gradient, rtol=1e-3, atol=1e-6, msg=name)


def test_every_weight_has_its_gradient_when_layers_run_again(model, uneven):
    model.train()
    _, expected = gradients(model, uneven)
    model.economise(Economy(recompute=1))
    _, found = gradients(model, uneven)

    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-6, msg=name)


def test_adapters_in_bfloat16_say_what_they_say_in_float32_up_to_rounding(adapted, uneven):
    exact, rounded = adapted(torch.bfloat16), adapted(torch.bfloat16)
    rounded.economise(Economy(rounded_adapters=True))

    (expected, expected_gradients), (found, found_gradients) = gradients(exact, uneven), gradients(rounded, uneven)

    torch.testing.assert_close(found.nll, expected.nll, rtol=2e-2, atol=2e-2)
    ours, theirs = (torch.cat([g.flatten() for g in d.values()]) for d in (found_gradients, expected_gradients))
    assert all(gradient.dtype is torch.float32 for gradient in found_gradients.values())
    assert torch.nn.functional.cosine_similarity(ours, theirs, dim=0) > 0.99


def test_adapters_can_still_be_switched_off(adapted, model, uneven):
    frugal = adapted()
    frugal.economise(Economy(rounded_adapters=True))

    with torch.no_grad(), lora.adapters_disabled(frugal):
        silent = frugal.losses(uneven, *drawn(model, uneven)).nll
        base = model.losses(uneven, *drawn(model, uneven)).nll

    torch.testing.assert_close(silent, base, rtol=0, atol=0)


@pytest.mark.parametrize("economy", [Economy(), Economy(recompute=1, columns=64)], ids=["plain", "frugal"])
def test_with_full_reach_the_flow_loss_trains_the_language_model_as_plain_autograd_would(model, uneven, economy):
    noise, time = drawn(model, uneven)
    capture, action = Capture(), uneven.action[:, None]
    model.read(uneven, capture)
    prefix = Prefix([(k[:, :, : uneven.prefix], v[:, :, : uneven.prefix]) for k, v in capture.layers])
    mask = uneven.attention_mask[:, : uneven.prefix]
    context = Context(prefix, mask, uneven.positions[0, :, uneven.prefix - 1] + 1)
    flow_loss(model.velocity(context, noisy_action(action, noise, time), time), action, noise).mean().backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()

    model.economise(economy)
    model.losses(uneven, noise, time, reach=1.0).flow.mean().backward()

    reached = [name for name in expected if "language_model.layers" in name]
    assert reached
    for name, gradient in expected.items():
        torch.testing.assert_close(model.get_parameter(name).grad, gradient, rtol=1e-3, atol=1e-7, msg=name)


def test_reach_scales_what_of_the_flow_loss_trains_the_language_model(model, uneven):
    name = "vlm.model.language_model.layers.0.self_attn.k_proj.weight"
    none, half, all_of_it = (gradients(model, uneven, reach=reach)[1][name] for reach in (0.0, 0.5, 1.0))

    torch.testing.assert_close(half, (none + all_of_it) / 2, rtol=1e-3, atol=1e-7)
    assert not torch.allclose(none, all_of_it, rtol=1e-2)


def test_rows_moved_to_the_left_need_no_mask_and_keep_their_tokens(uneven):
    layout = Layout.of(uneven, image=-1, multiple=64)

    kept = uneven.attention_mask.sum(dim=1).tolist()
    assert layout.mask is None
    assert layout.input_ids.shape[1] % 64 == layout.readable.shape[1] % 64 == 0
    for row, count in enumerate(kept):
        assert torch.equal(layout.input_ids[row, :count], uneven.input_ids[row, -count:])
        assert layout.readable[row].sum() == uneven.attention_mask[row, : uneven.prefix].sum()
    assert torch.equal(layout.labels, uneven.input_ids[:, 1:][uneven.labels[:, 1:]])


@torch.no_grad()
def test_images_of_different_sizes_are_encoded_as_each_alone(model):
    grids = torch.tensor([[1, 2, 4], [1, 4, 4]])
    pixels = torch.randn(24, 3 * 2 * 16 * 16, generator=torch.Generator().manual_seed(1))

    together = model.encode_images(pixels, grids).embeddings
    alone = [model.encode_images(*one).embeddings for one in ((pixels[:8], grids[:1]), (pixels[8:], grids[1:]))]

    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("setting", ["words_on_host", "vision_on_host"])
def test_what_is_trained_does_not_leave_the_device(model, setting):
    with pytest.raises(ValueError, match=setting):
        model.economise(Economy(**{setting: True}))


def test_a_frozen_vision_tower_computes_no_gradient(adapted, uneven):
    features = adapted().encode_images(uneven.pixels, uneven.grid)

    assert not any(level.requires_grad for level in (features.embeddings, *features.deepstack))
