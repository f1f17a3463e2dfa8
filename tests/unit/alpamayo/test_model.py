"""Losses, checkpoints, adapters and rollouts of a tiny model."""

import json
import re
import warnings
from dataclasses import replace

import pytest
import torch
from peft import PeftModel

from touge.alpamayo.budget.economy import Economy
from touge.alpamayo.config import AlpamayoConfig
from touge.alpamayo.inputs.tokenizer import train_tiny_tokenizer
from touge.alpamayo.layers.attention import Capture, Prefix
from touge.alpamayo.model import AlpamayoR1, Context
from touge.alpamayo.rollout import Sampling, _Reading, generator, rollout
from touge.alpamayo.tiny import TinySizes, tiny_document
from touge.alpamayo.weights import checkpoint, lora
from touge.contract.errors import CheckpointError, RecipeError

ADAPTER = lora.Adapter(rank=4, alpha=8)


def losses(model, batch, draws=2):
    dice = torch.Generator().manual_seed(1)
    shape = (len(batch.ids), draws)
    noise = torch.randn(*shape, *model.config.action_shape, generator=dice)
    return model.losses(batch, noise, torch.rand(*shape, generator=dice))


def disturb(model):
    """Give the adapters' second halves, zero at first, something to say."""
    dice = torch.Generator().manual_seed(2)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data = torch.randn(parameter.shape, generator=dice) * 0.05


@torch.no_grad()
def test_a_padded_row_scores_as_it_does_alone(model, encoder, window):
    rows = [encoder.training(window(1)), encoder.training(window(2, text="Keep going straight."))]
    together = encoder.collate(rows)
    dice = torch.Generator().manual_seed(1)
    noise, time = torch.randn(2, 2, 64, 2, generator=dice), torch.rand(2, 2, generator=dice)

    both = model.losses(together, noise, time)
    alone = [model.losses(encoder.collate([row]), noise[[i]], time[[i]]) for i, row in enumerate(rows)]

    torch.testing.assert_close(both.flow, torch.cat([one.flow for one in alone]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(both.nll, torch.cat([one.nll for one in alone]), rtol=1e-4, atol=1e-4)


def padded(context: Context, columns: int) -> Context:
    """Return the context behind columns that may not be read."""
    pad = torch.nn.functional.pad
    layers = [(pad(key, (0, 0, columns, 0)), pad(value, (0, 0, columns, 0))) for key, value in context.prefix.layers]
    return Context(Prefix(layers), pad(context.mask, (columns, 0)), context.position)


@torch.no_grad()
@pytest.mark.parametrize("columns", [0, 500], ids=["a short prefix", "a long prefix"])
def test_a_draw_is_as_it_is_alone(model, encoder, window, columns):
    batch = encoder.collate([encoder.training(window(1)), encoder.training(window(2, text="Keep going straight."))])
    capture = Capture()
    model.read(batch, capture)
    seen = batch.attention_mask[:, : batch.prefix]
    context = Context(capture.prefix(batch.prefix), seen, batch.positions[0, :, batch.prefix - 1] + 1)
    dice = torch.Generator().manual_seed(1)
    x, time = torch.randn(2, 3, 64, 2, generator=dice), torch.rand(2, 3, generator=dice)

    together = model.velocity(padded(context, columns), x, time)
    alone = [model.velocity(context, x[:, [draw]], time[:, [draw]]) for draw in range(3)]

    torch.testing.assert_close(together, torch.cat(alone, dim=1), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_patches_are_embedded_as_by_the_convolution_that_holds_the_weights(model):
    embedding = model.vlm.model.visual.patch_embed
    pixels = torch.randn(5, embedding.proj.weight[0].numel(), generator=torch.Generator().manual_seed(1))

    convolved = embedding.proj(pixels.view(5, *embedding.proj.weight.shape[1:])).flatten(1)

    torch.testing.assert_close(embedding(pixels), convolved, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_cached_vision_features_change_nothing(model, encoder, window):
    batch = encoder.collate([encoder.training(window(1))])
    features = model.encode_images(batch.pixels, batch.grid)

    torch.testing.assert_close(
        losses(model, batch).flow, losses(model, replace(batch, pixels=None, features=features)).flow
    )


@torch.no_grad()
def test_a_checkpoint_is_read_back_equal(model, tokenizer, encoder, tmp_path, window):
    checkpoint.save(model, tokenizer, tmp_path)
    again, words = checkpoint.load(tmp_path)
    batch = encoder.collate([encoder.training(window(1))])

    torch.testing.assert_close(losses(again, batch).nll, losses(model, batch).nll, rtol=0, atol=0)
    assert words.get_vocab() == tokenizer.get_vocab()


def test_a_checkpoint_of_another_architecture_is_refused_with_a_list(model, tokenizer, tmp_path):
    checkpoint.save(model, tokenizer, tmp_path)
    document = tiny_document(train_tiny_tokenizer(["x"]), TinySizes(hidden=96, layers=3, pixels=64 * 32))
    raw = json.loads((tmp_path / "config.json").read_text())
    raw["vlm_config"]["text_config"]["num_hidden_layers"] = document["vlm_config"]["text_config"]["num_hidden_layers"]
    raw["expert_cfg"]["intermediate_size"] = 7
    (tmp_path / "config.json").write_text(json.dumps(raw))

    with pytest.raises(CheckpointError, match=r"(?s)missing:.*of another shape:.*expected"):
        checkpoint.load(tmp_path)


def test_a_truncated_checkpoint_is_refused(model, tokenizer, tmp_path):
    checkpoint.save(model, tokenizer, tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(CheckpointError, match="damaged or truncated"):
        checkpoint.load(tmp_path)


def test_a_folder_without_weights_is_refused(model, tokenizer, tmp_path):
    checkpoint.save(model, tokenizer, tmp_path)
    (tmp_path / "model.safetensors").unlink()

    with pytest.raises(CheckpointError, match="no checkpoint"):
        checkpoint.load(tmp_path)


def test_a_config_that_names_unknown_code_is_refused(config_and_tokenizer):
    raw = json.loads(json.dumps(config_and_tokenizer[0].raw))
    raw["diffusion_cfg"]["_target_"] = "os.system"

    with pytest.raises(CheckpointError, match="'system'"):
        AlpamayoConfig.parse(raw)


def test_a_cast_to_bfloat16_leaves_rotary_phases_alone(model):
    checkpoint.cast(model, torch.bfloat16)

    kinds = {name: buffer.dtype for name, buffer in model.named_buffers() if buffer.is_floating_point()}
    assert kinds
    assert {torch.float32} == set(kinds.values())
    assert {torch.bfloat16} == {parameter.dtype for parameter in model.parameters()}


@torch.no_grad()
def test_fresh_adapters_change_nothing(model, encoder, window):
    batch = encoder.collate([encoder.training(window(1))])
    before = losses(model, batch)

    lora.inject(model, ADAPTER)

    torch.testing.assert_close(losses(model, batch).nll, before.nll)


@torch.no_grad()
def test_disabled_adapters_are_the_base_model(model, encoder, window):
    batch = encoder.collate([encoder.training(window(1))])
    before = losses(model, batch)
    lora.inject(model, ADAPTER)
    disturb(model)

    assert not torch.allclose(losses(model, batch).nll, before.nll)
    with lora.adapters_disabled(model):
        torch.testing.assert_close(losses(model, batch).nll, before.nll)


def test_rank_decides_how_many_parameters_are_trained(config_and_tokenizer):
    def count(rank):
        model = AlpamayoR1(config_and_tokenizer[0])
        return sum(p.numel() for p in lora.inject(model, lora.Adapter(rank=rank, alpha=8)))

    assert 2 * count(4) == count(8)


def test_adapters_sit_on_both_towers_and_nothing_else_is_trained(model):
    lora.inject(model, ADAPTER)

    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert all("lora_" in name for name in trained)
    assert {"vlm", "expert"} == {name.split(".")[0] for name in trained}
    assert not any("visual" in name for name in trained)


@torch.no_grad()
def test_an_adapter_is_read_back_by_us_and_by_a_stock_peft_model(
    config_and_tokenizer, model, encoder, tmp_path, window
):
    base = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    batch = encoder.collate([encoder.training(window(1))])
    lora.inject(model, ADAPTER)
    disturb(model)
    expected = losses(model, batch)
    lora.save_adapter(model, ADAPTER, tmp_path, base_digest="abc")

    ours = AlpamayoR1(config_and_tokenizer[0]).eval()
    ours.load_state_dict(base)
    assert lora.load_adapter(ours, tmp_path, base_digest="abc") == ADAPTER
    torch.testing.assert_close(losses(ours, batch).nll, expected.nll, rtol=0, atol=0)

    stock = AlpamayoR1(config_and_tokenizer[0]).eval()
    stock.load_state_dict(base)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wrapped = PeftModel.from_pretrained(stock, str(tmp_path))
    torch.testing.assert_close(losses(wrapped.base_model.model, batch).flow, expected.flow, rtol=0, atol=0)


def test_an_adapter_for_another_base_is_refused(model, config_and_tokenizer, tmp_path):
    lora.inject(model, ADAPTER)
    lora.save_adapter(model, ADAPTER, tmp_path, base_digest="abc")

    with pytest.raises(CheckpointError, match="trained on base abc"):
        lora.load_adapter(AlpamayoR1(config_and_tokenizer[0]), tmp_path, base_digest="def")


def test_adapters_on_nothing_and_on_unknown_linears_are_refused_together():
    with pytest.raises(RecipeError, match="nothing would be trained"):
        _ = lora.Adapter(4, 8, language_model="none", expert="none").pattern
    with pytest.raises(RecipeError, match="2 problems"):
        _ = lora.Adapter(4, 8, language_model=("q_prj",), expert=("up",)).pattern


@pytest.mark.parametrize("temperature", [0.0, 0.6])
def test_a_rollout_in_a_batch_equals_the_same_alone(model, encoder, tokenizer, temperature, window):
    sampling = Sampling(rollouts=2, temperature=temperature, max_tokens=12)
    rows = [window(1), window(2), window(3)]
    together = rollout(model, tokenizer, encoder.collate([encoder.generation(row) for row in rows]), sampling)

    for row, drawn in zip(rows, together, strict=True):
        alone = rollout(model, tokenizer, encoder.collate([encoder.generation(row)]), sampling)[0]
        assert [one.reasoning for one in alone] == [one.reasoning for one in drawn]
        for one, other in zip(alone, drawn, strict=True):
            torch.testing.assert_close(one.trajectory, other.trajectory, rtol=1e-3, atol=1e-2)


def test_reasoning_never_contains_trajectory_tokens(model, encoder, tokenizer, window):
    batch = encoder.collate([encoder.generation(window(1))])

    drawn = rollout(model, tokenizer, batch, Sampling(rollouts=4, temperature=2.0, top_p=1.0, max_tokens=20))[0]

    assert len({one.reasoning for one in drawn}) == 4
    assert not any("<i" in one.reasoning for one in drawn)


def test_more_rollouts_leave_the_first_ones_as_they_are(model, encoder, tokenizer, window):
    batch = encoder.collate([encoder.generation(window(1)), encoder.generation(window(2))])
    few, many = (rollout(model, tokenizer, batch, Sampling(rollouts=k, max_tokens=12)) for k in (1, 5))

    for one, other in ((alone[0], among[0]) for alone, among in zip(few, many, strict=True)):
        assert one.reasoning == other.reasoning
        torch.testing.assert_close(one.trajectory, other.trajectory, rtol=1e-3, atol=1e-2)


def test_all_rollouts_of_a_window_share_one_copy_of_its_prefix(model, encoder, window):
    batch = encoder.collate([encoder.generation(window(1)), encoder.generation(window(2))])

    reading = _Reading(model, batch, Sampling(rollouts=6, max_tokens=7))
    reading.reason()

    rows, _, columns, _ = reading.context().prefix.layers[0][0].shape
    assert rows == 2
    assert columns <= batch.input_ids.shape[1] + 6 * 8


@torch.no_grad()
def test_draws_with_masks_and_positions_of_their_own_share_a_pass_and_stay_what_they_are_alone(model):
    dice = torch.Generator().manual_seed(0)
    text, rows, draws, columns = model.config.expert_text, 2, 3, 9
    shape = (rows, text["num_key_value_heads"], columns, text["head_dim"])
    layers = [tuple(torch.randn(2, *shape, generator=dice)) for _ in model.expert.layers]
    mask = torch.rand(rows, draws, columns, generator=dice) < 0.5
    position = torch.randint(5, 50, (rows, draws), generator=dice)
    x = torch.randn(rows, draws, *model.config.action_shape, generator=dice)
    time = torch.rand(rows, draws, generator=dice)

    together = model._velocity(Context(Prefix(layers), mask, position), x, time, causal=False)

    for draw in range(draws):
        context = Context(Prefix(layers), mask[:, draw], position[:, draw])
        alone = model._velocity(context, x[:, [draw]], time[:, [draw]], causal=False)
        torch.testing.assert_close(together[:, [draw]], alone, rtol=1e-4, atol=1e-5)
    short = model.velocity(Context(Prefix(layers), mask, position), x, time, causal=False)
    torch.testing.assert_close(short, together, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_rollout_is_the_same_with_words_and_vision_on_the_host(model, encoder, tokenizer, window):
    batch, sampling = encoder.collate([encoder.generation(window(1))]), Sampling(rollouts=2, max_tokens=6)
    expected = rollout(model, tokenizer, batch, sampling)
    model.requires_grad_(False)
    model.economise(Economy(words_on_host=True, vision_on_host=True))

    for one, other in zip(expected[0], rollout(model, tokenizer, batch, sampling)[0], strict=True):
        assert one.reasoning == other.reasoning
        assert torch.equal(one.trajectory, other.trajectory)


def test_luck_depends_on_sample_rollout_and_purpose_alone():
    draw = lambda *key: torch.rand(1, generator=generator(*key)).item()  # noqa: E731

    assert draw(0, "a", 0, "noise") == draw(0, "a", 0, "noise")
    keys = [
        (0, "a", 0, "noise"),
        (1, "a", 0, "noise"),
        (0, "b", 0, "noise"),
        (0, "a", 1, "noise"),
        (0, "a", 0, "tokens"),
    ]
    assert len(keys) == len({draw(*key) for key in keys})


@pytest.mark.parametrize("blocks", [1, 4, 12])
def test_all_linears_of_the_action_projections_are_meant_and_nothing_else(config_and_tokenizer, blocks):
    raw = json.loads(json.dumps(config_and_tokenizer[0].raw))
    raw["action_in_proj_cfg"]["num_enc_layers"] = blocks
    model = AlpamayoR1(AlpamayoConfig.parse(raw))
    pattern = lora.Adapter(2, 4, language_model="none", expert="none", action_projections="all-linear").pattern

    meant = {name for name, _ in model.named_modules() if re.fullmatch(pattern, name)}

    linears = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    assert meant == {name for name in linears if name.startswith("action")}
    assert len(meant) == 1 + blocks + 1


def test_the_rank_stabilised_variant_scales_by_the_root_of_the_rank():
    assert lora.Adapter(16, 32).scaling == 2
    assert lora.Adapter(16, 32, variant="rslora").scaling == 8


@pytest.mark.parametrize("changes", [{"variant": "pissa"}, {"dtype": "float16"}])
def test_an_adapter_that_is_none_of_ours_is_refused(model, tmp_path, changes):
    lora.inject(model, ADAPTER)
    lora.save_adapter(model, ADAPTER, tmp_path, base_digest="abc")
    sidecar = json.loads((tmp_path / "touge.json").read_text())
    sidecar["adapter"] |= changes
    (tmp_path / "touge.json").write_text(json.dumps(sidecar))

    with pytest.raises(CheckpointError, match="describes no adapter of ours"):
        lora.load_adapter(model, tmp_path, base_digest="abc")
