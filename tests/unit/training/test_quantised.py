"""What 4 bits cost the base: against the unquantised base itself, and nothing where nothing is lost."""

import pytest
import torch
from bitsandbytes.functional import dequantize_4bit

from touge.alpamayo.rollout import Sampling, drive
from touge.alpamayo.weights import checkpoint, quantisation
from touge.alpamayo.weights.shards import Shards
from touge.training.draws import draw
from touge.training.quantised import compare

CPU = torch.device("cpu")


@pytest.fixture
def quantised(base):
    return checkpoint.load(base, four_bit=True)[0]


@torch.no_grad()
def test_the_unquantised_score_is_that_of_the_base_itself(quantised, base, inputs):
    model, _ = checkpoint.load(base)
    batch = inputs.batch([0, 1])
    draws = draw(batch.ids, seed=5, step=0, draws=8, shape=model.config.action_shape)
    losses = model.losses(batch, draws.noise, draws.time)
    driven = torch.stack([one.trajectory for one in drive(model, batch, Sampling(rollouts=1, seed=5))])
    true = torch.tensor([inputs.samples.read(index).future for index in (0, 1)])

    found = compare(quantised, Shards.open(base), inputs, [0, 1], seed=5, device=CPU)["base"]

    assert found["cross_entropy"] == pytest.approx(losses.nll.mean().item(), rel=1e-6)
    assert found["flow"] == pytest.approx(losses.flow.mean().item(), rel=1e-6)
    assert found["ade"] == pytest.approx((driven - true)[..., :2].norm(dim=-1).mean().item(), abs=0.05)


def test_every_window_counts_once(quantised, base, inputs):
    together = compare(quantised, Shards.open(base), inputs, [0, 1, 2], seed=5, device=CPU)
    alone = [compare(quantised, Shards.open(base), inputs, [index], seed=5, device=CPU) for index in range(3)]

    assert [together["windows"], *(one["windows"] for one in alone)] == [3, 1, 1, 1]
    assert together["nf4"]["flow"] == pytest.approx(sum(one["nf4"]["flow"] for one in alone) / 3, rel=1e-4)
    assert together["apart"] == pytest.approx(sum(one["apart"] for one in alone) / 3, rel=1e-3)


def test_windows_that_do_not_fit_one_pass_take_several(quantised, base, inputs, monkeypatch):
    together = compare(quantised, Shards.open(base), inputs, [0, 1, 2], seed=5, device=CPU)
    monkeypatch.setattr("touge.training.quantised._TOKENS", 2 * len(inputs.example(0).input_ids) + 9)

    apart = compare(quantised, Shards.open(base), inputs, [0, 1, 2], seed=5, device=CPU)

    assert apart["base"] == pytest.approx(together["base"], rel=1e-4)
    assert apart["nf4"] == pytest.approx(together["nf4"], rel=1e-4)


def test_against_what_4_bits_hold_nothing_is_lost(quantised, base, inputs):
    layers = quantisation.layers(quantised)

    class Rounded(Shards):
        def read(self, name):
            return dequantize_4bit(layers[name].weight.data, layers[name].weight.quant_state)

    found = compare(quantised, Rounded.open(base), inputs, [0, 1, 2], seed=5, device=CPU)

    assert found["apart"] == 0
    assert found["base"] == found["nf4"]


def test_the_model_is_the_quantised_one_again_afterwards(quantised, base, inputs):
    first, second = (compare(quantised, Shards.open(base), inputs, [0], seed=5, device=CPU) for _ in range(2))

    assert first == second
    assert first["base"] != first["nf4"]
