"""Rounding by chance, and what arrives of a small training step because of it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import feed_of, settings
from torch import nn

from touge.alpamayo.weights import checkpoint
from touge.training.optimiser import build_optimiser
from touge.training.rounding import round_into
from touge.training.step import train_step

FULL = settings(method="full", learning_rate=1e-5, batch_size=1, optimiser={"states": "8bit"})


def rounded(values, seed=0):
    target = torch.empty(values.shape, dtype=torch.bfloat16)
    round_into(target, values.clone(), torch.Generator().manual_seed(seed))
    return target.float()


@given(value=st.floats(-(2.0**100), 2.0**100, width=32), seed=st.integers(0, 99))
def test_a_number_goes_to_one_of_its_two_neighbours(value, seed):
    given_value = torch.tensor([value])

    found = rounded(given_value, seed)

    towards_zero = (given_value.view(torch.int32) & -(1 << 16)).view(torch.float32)
    beyond = ((given_value.view(torch.int32) & -(1 << 16)) + (1 << 16)).view(torch.float32)
    assert found in (towards_zero, beyond)


@pytest.mark.parametrize("value", [0.0, 1.0, -0.0078125, 3.0e38])
def test_a_bfloat16_number_stays_what_it_is(value):
    exact = torch.full((1000,), value).bfloat16().float()

    assert torch.equal(rounded(exact), exact)


@pytest.mark.parametrize("value", [1.001, -1.001, 0.0200123, -3e-20])
def test_the_mean_of_many_is_the_number(value):
    found = rounded(torch.full((1_000_000,), value)).double()

    spread = found.std().item() / 1000
    assert spread > 0
    assert found.mean().item() == pytest.approx(value, abs=5 * spread + 1e-7 * abs(value))


def share_that_arrives(update, master):
    """Return the update's part along the master's, of which 1 is all."""
    along = sum((update[name] * master[name]).sum() for name in master)
    return (along / sum(master[name].square().sum() for name in master)).item()


def trained(base, inputs, how):
    """Return what 50 steps change of every weight of a bfloat16 model.

    Args:
        base: Folder of the tiny model.
        inputs: Windows.
        how: `master`: float32 copies are stepped and rounded into the weights; `nearest`: torch's AdamW on the
            weights themselves; `chance`: ours.
    """
    model = checkpoint.load(base, dtype=torch.bfloat16)[0]
    weights = dict(model.named_parameters())
    start = {name: weight.detach().float() for name, weight in weights.items()}
    stepped = {n: nn.Parameter(t.clone()) for n, t in start.items()} if how == "master" else weights
    if how == "chance":
        optimiser = build_optimiser(stepped, FULL)
    else:
        optimiser = torch.optim.AdamW(stepped.values(), 1e-5, (0.9, 0.95), weight_decay=0.0)
    feed = feed_of(inputs, FULL)
    for step in range(50):
        given_input = feed.step(step)
        for batch, draws in given_input.parts:
            train_step(model.losses, batch, draws, FULL.loss, given_input.totals)[0].backward()
        if how == "master":
            for name, weight in weights.items():
                stepped[name].grad, weight.grad = weight.grad.float(), None
        optimiser.step()
        optimiser.zero_grad()
        for name, weight in weights.items():
            weight.data.copy_(stepped[name].data)
    return {name: stepped[name].detach().float() - start[name] for name in weights}


def test_fifty_steps_of_1e_5_arrive_as_on_a_float32_master_and_are_lost_by_rounding_to_nearest(base, inputs):
    master = trained(base, inputs, "master")
    chance, nearest = trained(base, inputs, "chance"), trained(base, inputs, "nearest")

    assert share_that_arrives(chance, master) == pytest.approx(1, abs=0.05)
    assert sum(u.abs().sum() for u in chance.values()) == pytest.approx(
        sum(u.abs().sum().item() for u in master.values()), rel=0.05
    )
    assert share_that_arrives(nearest, master) < 0.3
