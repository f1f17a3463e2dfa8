"""What must be true of every training: each guard lets the tiny model pass and sees its own mutation."""

import json
from dataclasses import replace

import pytest
import torch
from tiny_training import SIZES, TEXTS, World, settings, write_base

from touge.alpamayo.config import AlpamayoConfig
from touge.alpamayo.inputs.tokenizer import train_tiny_tokenizer
from touge.alpamayo.model import AlpamayoR1
from touge.alpamayo.tiny import tiny_document
from touge.alpamayo.weights import checkpoint, lora
from touge.contract.errors import CheckpointError, TougeError
from touge.contract.recipe import Loss
from touge.training import stage
from touge.training.draws import draw
from touge.training.guards import check_adapters, check_frozen, check_gradients, check_materialised, check_sight
from touge.training.step import train_step
from touge.training.weights import choose_weights

ADAPTER = lora.Adapter(rank=4, alpha=8)


def blind(model):
    """Make the vision tower say the same of every picture."""
    visual = model.vlm.model.visual
    for merger in (visual.merger, *visual.deepstack_merger_list):
        merger.linear_fc2.weight.data.zero_()
    return model


def look(model, inputs):
    batch = inputs.batch([0, 0])
    return check_sight(model, batch, draw(batch.ids, seed=0, step=0, draws=1, shape=model.config.action_shape))


def backward(model, inputs):
    batch = inputs.batch([0, 1])
    draws = draw(batch.ids, seed=0, step=0, draws=2, shape=model.config.action_shape)
    train_step(model.losses, batch, draws, Loss())[0].backward()


def test_a_loaded_model_has_no_tensor_on_the_meta_device(model):
    check_materialised(model)


def test_a_tensor_on_the_meta_device_is_named(model):
    model.action_space.to("meta")
    model.action_out_proj.to("meta")

    with pytest.raises(CheckpointError, match=r"6 tensors are on the meta device, expected none: action_out_proj"):
        check_materialised(model)


@pytest.mark.parametrize("rank", [1, 4, 16])
def test_the_adapters_have_the_parameters_that_their_rank_asks_for(model, rank):
    adapter = lora.Adapter(rank=rank, alpha=8, vision="all-linear")
    planned = lora.planned(model, adapter)

    lora.inject(model, adapter)

    check_adapters(model, planned)
    assert sum(planned.values()) == rank * sum(lora.planned(blank(), replace(adapter, rank=1)).values())


def blank():
    return AlpamayoR1(AlpamayoConfig.parse(tiny_document(train_tiny_tokenizer(TEXTS * 5), SIZES)))


def test_a_linear_of_n_inputs_and_m_outputs_gets_rank_times_their_sum(model):
    planned = lora.planned(model, lora.Adapter(rank=3, alpha=8, language_model="gate_proj", expert="none"))

    assert planned == {"language_model": SIZES.layers * 3 * (SIZES.hidden + SIZES.mlp)}


def test_adapters_of_another_rank_are_noticed(model):
    planned = lora.planned(model, ADAPTER)
    lora.inject(model, replace(ADAPTER, rank=8))

    with pytest.raises(CheckpointError, match=f"ask for {sum(planned.values()):,}"):
        check_adapters(model, planned)


def test_an_adapter_that_is_missing_is_noticed(model):
    planned = lora.planned(model, ADAPTER)
    lora.inject(model, ADAPTER)
    layer = model.expert.layers[0].mlp
    layer.up_proj = layer.up_proj.base_layer

    with pytest.raises(CheckpointError, match="the adapters have"):
        check_adapters(model, planned)


def test_a_tower_whose_linears_have_other_names_is_noticed(model):
    model.expert.blocks = model.expert.layers
    del model.expert.layers

    with pytest.raises(CheckpointError, match=r"train\.lora\.expert: no linear"):
        check_adapters(model, lora.planned(model, ADAPTER))


@pytest.mark.parametrize("method", ["lora", "full"])
def test_what_is_chosen_is_open_and_all_else_is_frozen(model, method):
    weights = choose_weights(model, settings(method=method))

    check_frozen(model, weights, adapters=method == "lora")


def test_a_base_parameter_that_is_not_frozen_is_named(model):
    weights = choose_weights(model, settings())
    model.action_out_proj.bias.requires_grad_(True)

    with pytest.raises(TougeError, match=r"1 parameters should be frozen and are not: action_out_proj\.bias"):
        check_frozen(model, weights, adapters=True)


def test_a_base_parameter_among_the_chosen_is_named(model):
    weights = choose_weights(model, settings(method="full"))

    with pytest.raises(TougeError, match="should be frozen"):
        check_frozen(model, weights, adapters=True)


def test_a_chosen_parameter_that_is_frozen_is_named(model):
    weights = choose_weights(model, settings())
    name, parameter = next(iter(weights.items()))
    parameter.requires_grad_(False)

    with pytest.raises(TougeError, match=f"should be trained and are frozen: {name}"):
        check_frozen(model, weights, adapters=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_that_looks_passes(model, inputs, dtype):
    checkpoint.cast(model, dtype)

    assert look(model, inputs) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_that_drives_without_looking_is_refused(model, inputs, dtype):
    checkpoint.cast(blind(model), dtype)

    with pytest.raises(CheckpointError, match="drives without looking"):
        look(model, inputs)


def test_dropout_does_not_pass_for_sight_and_stays_on(model, inputs):
    lora.inject(blind(model), replace(ADAPTER, dropout=0.5))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    model.train()

    with pytest.raises(CheckpointError):
        look(model, inputs)
    assert model.training


def test_a_flow_loss_that_is_no_number_is_left_to_the_first_step(model, inputs):
    model.action_out_proj.bias.data.fill_(torch.nan)

    assert look(model, inputs) is None


@pytest.mark.parametrize("begun", [False, True])
def test_full_training_reaches_every_parameter(model, inputs, begun):
    weights = choose_weights(model, settings(method="full"))
    backward(model, inputs)

    check_gradients(model, weights, begun=begun)


def test_loras_first_half_may_have_zero_gradients_at_the_first_step_only(model, inputs):
    weights = choose_weights(model, settings())
    backward(model, inputs)

    check_gradients(model, weights, begun=False)
    with pytest.raises(TougeError, match=r"the gradients of \d+ of \d+ trained parameters are zero: \S+lora_A"):
        check_gradients(model, weights, begun=True)


def test_a_trained_parameter_that_the_loss_does_not_reach_is_named(model, inputs):
    weights = choose_weights(model, settings(method="full"))
    backward(model, inputs)
    model.action_out_proj.bias.grad = None

    with pytest.raises(TougeError, match=r"1 of \d+ trained parameters have no gradient: action_out_proj\.bias"):
        check_gradients(model, weights, begun=False)


def test_a_gradient_of_a_frozen_parameter_is_named(model, inputs):
    weights = choose_weights(model, settings())
    backward(model, inputs)
    model.action_out_proj.bias.grad = torch.ones(2)

    with pytest.raises(TougeError, match=r"1 frozen parameters have a gradient: action_out_proj\.bias"):
        check_gradients(model, weights, begun=False)


@pytest.mark.parametrize("value", [1e-38, torch.nan, torch.inf])
def test_a_gradient_that_is_tiny_or_no_number_is_not_zero(value):
    layer = torch.nn.Linear(2, 1, bias=False)
    layer.weight.grad = torch.tensor([[0.0, value]])

    check_gradients(layer, dict(layer.named_parameters()), begun=True)


CONFIGURATIONS = [
    {"lora": {"rank": 4, "vision": "all-linear", "dropout": 0.5}},
    {"lora": {"rank": 1, "language_model": "none", "expert": ["q_proj"]}},
    {"gradient_accumulation": 2, "batch_size": 1},
    {"loss": {"trajectory": 0}},
    {"loss": {"reasoning": 0, "trajectory_tokens": 0}},
    {"method": "full"},
    {"method": "full", "loss": {"trajectory": 0}},
    {"method": "full", "loss": {"reasoning": 0}},
    {"method": "full", "loss": {"trajectory_tokens": 0}},
    {"method": "full", "loss": {"reasoning": 0, "trajectory_tokens": 0}},
]


@pytest.mark.parametrize("train", CONFIGURATIONS, ids=json.dumps)
def test_no_guard_speaks_up_in_a_sound_training(world, train):
    world.curate(count=4)

    assert stage.run(world.context(world.plan(steps=3, **train)))["steps"] == 3


def test_the_stage_refuses_a_base_that_does_not_look(world, tmp_path):
    model, tokenizer = checkpoint.load(world.base)
    checkpoint.save(blind(model), tokenizer, tmp_path / "blind")
    unseeing = World(tmp_path, tmp_path / "blind")
    unseeing.curate(count=4)

    with pytest.raises(CheckpointError, match="drives without looking"):
        stage.run(unseeing.context(unseeing.plan()))


def test_the_stage_refuses_to_train_what_the_loss_does_not_reach(tmp_path):
    deep = World(tmp_path, write_base(tmp_path / "base", replace(SIZES, layers=1), deepstack=[0, 1]))
    deep.curate(count=4)

    with pytest.raises(TougeError, match=r"have no gradient: vlm\.model\.visual\.deepstack_merger_list\.1"):
        stage.run(deep.context(deep.plan(method="full")))
