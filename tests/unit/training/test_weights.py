"""Which weights are trained."""

import pytest
import torch
from tiny_training import settings

from touge.alpamayo.weights import checkpoint
from touge.contract.errors import CheckpointError, RecipeError
from touge.training.weights import choose_weights, vision_is_frozen


def towers(weights):
    return {name.split(".")[0] for name in weights}


def test_full_training_takes_every_parameter(model):
    assert dict(model.named_parameters()).keys() == choose_weights(model, settings(method="full")).keys()


def test_lora_takes_adapters_of_language_model_and_expert_only(model):
    weights = choose_weights(model, settings())

    assert {"vlm", "expert"} == towers(weights)
    assert all("lora_" in name for name in weights)
    assert not any("visual" in name for name in weights)


def test_what_is_not_chosen_is_frozen(model):
    weights = choose_weights(model, settings())

    assert weights.keys() == {name for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize(
    ("loss", "trained"),
    [
        ({"trajectory": 0}, {"vlm"}),
        ({"reasoning": 0, "trajectory_tokens": 0}, {"expert", "action_in_proj", "action_out_proj"}),
        ({"reasoning": 0}, {"vlm", "expert", "action_in_proj", "action_out_proj"}),
        ({"trajectory_tokens": 0}, {"vlm", "expert", "action_in_proj", "action_out_proj"}),
    ],
)
def test_a_part_whose_loss_has_no_weight_is_not_trained(model, loss, trained):
    assert trained == towers(choose_weights(model, settings(method="full", loss=loss)))


def test_adapters_on_nothing_but_an_unweighted_part_are_refused(model):
    with pytest.raises(RecipeError, match="nothing would be trained"):
        choose_weights(model, settings(lora={"rank": 4, "language_model": "none"}, loss={"trajectory": 0}))


def test_a_tower_without_the_linears_to_adapt_is_refused(model):
    for layer in model.expert.layers:
        layer.mlp.w1 = layer.mlp.gate_proj
        del layer.mlp.gate_proj

    with pytest.raises(CheckpointError, match=r"train\.lora\.expert: no linear"):
        choose_weights(model, settings(lora={"rank": 4, "expert": ["gate_proj"]}))


def test_adapters_begin_with_the_same_numbers_for_one_seed(base):
    def first(seed):
        weights = choose_weights(checkpoint.load(base)[0], settings(seed=seed))
        return next(weight for name, weight in weights.items() if "lora_A" in name)

    assert first(1).equal(first(1))
    assert not first(1).equal(first(2))


def test_qlora_on_a_base_that_is_not_quantised_is_refused(model):
    with pytest.raises(CheckpointError, match=r"no layer of the model is in 4 bits"):
        choose_weights(model, settings(method="qlora"))


def test_qlora_takes_adapters_of_a_base_in_4_bits(base):
    model, _ = checkpoint.load(base, four_bit=True)

    weights = choose_weights(model, settings(method="qlora"))

    assert {"vlm", "expert"} == towers(weights)
    assert all("lora_" in name for name in weights)
    assert {torch.float32} == {weight.dtype for weight in weights.values()}


def test_action_projections_are_adapted_by_name(model):
    weights = choose_weights(model, settings(lora={"rank": 4, "action_projections": "all-linear"}))

    places = {name.split(".lora_")[0] for name in weights if name.startswith("action")}
    linears = {
        name for name, module in model.named_modules() if name.startswith("action") and hasattr(module, "lora_A")
    }
    assert places == linears == {f"action_in_proj.encoder.trunk.{n}" for n in (0, 3, 6, 9, 12)} | {"action_out_proj"}


@pytest.mark.parametrize("variant", ["rslora", "dora"])
def test_a_variant_is_adapted_as_planned(model, variant):
    weights = choose_weights(model, settings(lora={"rank": 4, "variant": variant}))

    assert any("magnitude" in name for name in weights) is (variant == "dora")


@pytest.mark.parametrize(
    ("changes", "frozen"),
    [({}, True), ({"method": "full"}, False), ({"lora": {"rank": 4, "vision": "all-linear"}}, False)],
)
def test_the_vision_tower_is_frozen_unless_it_is_trained(changes, frozen):
    assert vision_is_frozen(settings(**changes)) is frozen
