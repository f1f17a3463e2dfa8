"""Language model and expert in 4 bits, on the CPU, by bitsandbytes."""

import pytest
import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit
from bitsandbytes.nn import Linear4bit
from peft.tuners.lora import LoraLayer
from peft.tuners.lora.bnb import Linear4bit as Adapted4bit

from touge.alpamayo.budget.economy import Economy
from touge.alpamayo.weights import checkpoint, lora, quantisation
from touge.alpamayo.weights.lora import DECODER_LINEARS
from touge.alpamayo.weights.shards import Shards
from touge.contract.errors import CheckpointError, TougeError

ADAPTER = lora.Adapter(rank=4, alpha=8)


@pytest.fixture
def folder(model, tokenizer, tmp_path):
    checkpoint.save(model, tokenizer, tmp_path)
    return tmp_path


@pytest.fixture
def quantised(folder):
    return checkpoint.load(folder, four_bit=True)[0]


def losses(model, batch):
    dice = torch.Generator().manual_seed(1)
    noise = torch.randn(len(batch.ids), 2, *model.config.action_shape, generator=dice)
    return model.losses(batch, noise, torch.rand(len(batch.ids), 2, generator=dice))


def test_all_decoder_linears_of_both_towers_are_in_4_bits_and_nothing_else(model, quantised):
    towers = ("vlm.model.language_model.layers.", "expert.layers.")
    expected = {
        name
        for name, module in model.named_modules()
        if name.startswith(towers) and name.split(".")[-1] in DECODER_LINEARS
    }

    found = {name for name, module in quantised.named_modules() if isinstance(module, Linear4bit)}

    assert found == expected
    assert len(found) == 2 * 2 * 7


def test_what_is_not_quantised_keeps_its_type(folder):
    model, _ = checkpoint.load(folder, dtype=torch.bfloat16, four_bit=True)

    kinds = {name: parameter.dtype for name, parameter in model.named_parameters()}
    full = {name for name, kind in kinds.items() if kind == torch.bfloat16}
    assert {torch.bfloat16, torch.uint8} == set(kinds.values())
    assert {"vlm.lm_head.weight", "action_out_proj.weight", "expert.norm.weight"} <= full
    assert {"vlm.model.language_model.embed_tokens.weight"} <= full
    assert any("visual.merger" in name for name in full)
    assert {torch.float32} == {b.dtype for _, b in model.named_buffers() if b.is_floating_point()}


def test_weights_are_the_nearest_that_nf4_with_double_quantisation_has(model, quantised):
    for name, layer in quantisation.layers(quantised).items():
        weight = model.get_parameter(name).detach()
        packed, state = quantize_4bit(weight, quant_type="nf4", compress_statistics=True)

        assert layer.weight.quant_state.nested
        assert layer.weight.data.equal(packed)
        assert dequantize_4bit(layer.weight.data, layer.weight.quant_state).equal(dequantize_4bit(packed, state))


@torch.no_grad()
def test_undone_it_is_the_unquantised_model_and_then_the_quantised_one_again(model, quantised, folder, encoder, window):
    batch = encoder.collate([encoder.training(window(1))])
    exact, before = losses(model, batch), losses(quantised, batch)

    with quantisation.undone(quantised, Shards.open(folder).read):
        undone = losses(quantised, batch)

    assert not torch.allclose(before.nll, exact.nll)
    torch.testing.assert_close(undone.nll, exact.nll, rtol=0, atol=0)
    torch.testing.assert_close(undone.flow, exact.flow, rtol=0, atol=0)
    torch.testing.assert_close(losses(quantised, batch).nll, before.nll, rtol=0, atol=0)


@pytest.mark.parametrize("variant", lora.VARIANTS)
@pytest.mark.parametrize("dtype", lora.DTYPES)
def test_adapters_of_4_bit_layers_are_peft_s_own_and_they_train(folder, encoder, window, variant, dtype):
    model, _ = checkpoint.load(folder, four_bit=True)
    frozen = {name: p.detach().clone() for name, p in model.named_parameters()}
    batch = encoder.collate([encoder.training(window(1))])
    torch.manual_seed(0)
    trained = lora.inject(model, lora.Adapter(rank=4, alpha=8, variant=variant, dtype=dtype))
    quantisation.check_adapted(model)
    adapted = [module for module in model.modules() if isinstance(module, Adapted4bit)]
    optimiser = torch.optim.AdamW(trained, lr=1e-2)
    seen = []

    for _ in range(8):
        found = losses(model, batch)
        loss = found.nll.mean() + found.flow.mean()
        seen.append(float(loss.detach()))
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()

    assert len(adapted) == 2 * 2 * 7
    assert seen[-1] < seen[0] - 0.1
    now = {name.replace(".base_layer", ""): p for name, p in model.named_parameters() if not lora.is_adapter(name)}
    assert now.keys() == frozen.keys()
    assert all(now[name].equal(tensor) for name, tensor in frozen.items())


def test_rounded_adapters_of_4_bit_layers_share_a_class_so_that_compiled_code_is_used_again(quantised):
    lora.inject(quantised, ADAPTER)
    before = {type(module) for module in quantised.modules() if isinstance(module, LoraLayer)}

    quantised.economise(Economy(rounded_adapters=True))

    after = {type(module) for module in quantised.modules() if isinstance(module, LoraLayer)}
    assert len(after) == 1
    assert after.isdisjoint(before)


def test_adapters_of_another_class_are_refused(quantised):
    del quantised.is_loaded_in_4bit  # without it PEFT takes what is made for full weights
    lora.inject(quantised, ADAPTER)

    with pytest.raises(TougeError, match=r"28 of 28 adapted 4-bit layers.*class Linear; expected peft's"):
        quantisation.check_adapted(quantised)


def test_a_model_without_4_bit_layers_is_refused(model):
    lora.inject(model, ADAPTER)

    with pytest.raises(CheckpointError, match=r"no layer of the model is in 4 bits.*train\.method=lora"):
        quantisation.check_adapted(model)


def test_a_quantised_parameter_counts_as_what_it_stands_for(model, quantised):
    counts = {name: quantisation.parameter_count(p) for name, p in quantised.named_parameters()}

    assert counts == {name: p.numel() for name, p in model.named_parameters()}


@torch.no_grad()
def test_adapters_that_were_trained_on_4_bits_load_on_the_full_base(folder, encoder, window, tmp_path):
    quantised, _ = checkpoint.load(folder, four_bit=True)
    lora.inject(quantised, ADAPTER)
    lora.save_adapter(quantised, ADAPTER, tmp_path / "adapter", base_digest="abc")
    full, _ = checkpoint.load(folder)

    assert lora.load_adapter(full, tmp_path / "adapter", base_digest="abc") == ADAPTER
