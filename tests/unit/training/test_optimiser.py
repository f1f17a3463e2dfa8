"""AdamW, its schedule, and the average of the weights."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import settings
from torch import nn

from touge.training.optimiser import Average, build_optimiser, learning_rate, set_learning_rate


def weights():
    torch.manual_seed(0)
    return {"matrix": nn.Parameter(torch.randn(3, 2)), "vector": nn.Parameter(torch.randn(3))}


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.25), (1, 0.5), (3, 1.0), (4, 1.0), (6, 0.85355339), (8, 0.5), (10, 0.14644661), (12, 0.0)],
)
def test_the_rate_warms_up_linearly_and_falls_as_half_a_cosine(step, rate):
    assert learning_rate(step, peak=1.0, warmup=4, steps=12) == pytest.approx(rate, abs=1e-8)


def test_without_warm_up_the_first_step_has_the_peak_rate():
    assert learning_rate(0, peak=3.0, warmup=0, steps=1) == 3.0


@given(step=st.integers(0, 1999), warmup=st.integers(0, 3000), steps=st.integers(1, 2000), peak=st.floats(1e-6, 10))
def test_every_step_of_a_training_has_a_positive_rate_up_to_the_peak(step, warmup, steps, peak):
    rate = learning_rate(step % steps, peak=peak, warmup=warmup, steps=steps)

    assert 0 < rate <= peak


def test_matrices_decay_and_vectors_do_not():
    given_weights = weights()
    before = {name: weight.detach().clone() for name, weight in given_weights.items()}
    optimiser = build_optimiser(given_weights, settings(weight_decay=0.5, learning_rate=0.1))
    for weight in given_weights.values():
        weight.grad = torch.zeros_like(weight)

    optimiser.step()

    torch.testing.assert_close(given_weights["matrix"].data, before["matrix"] * (1 - 0.1 * 0.5))
    torch.testing.assert_close(given_weights["vector"].data, before["vector"])


def test_the_first_step_goes_the_rate_against_the_gradients_sign():
    given_weights = {"vector": nn.Parameter(torch.zeros(3))}
    optimiser = build_optimiser(given_weights, settings())
    set_learning_rate(optimiser, 0.25)
    given_weights["vector"].grad = torch.tensor([5.0, -0.1, 1.0])

    optimiser.step()

    torch.testing.assert_close(given_weights["vector"].data, torch.tensor([-0.25, 0.25, -0.25]), rtol=1e-5, atol=1e-5)


def test_the_rate_is_set_for_matrices_and_vectors():
    optimiser = build_optimiser(weights(), settings(learning_rate=1.0))

    set_learning_rate(optimiser, 0.125)

    assert [0.125, 0.125] == [group["lr"] for group in optimiser.param_groups]


def test_the_average_forgets_its_start_first_and_holds_its_decay_later():
    weight = {"w": nn.Parameter(torch.zeros(1))}
    average = Average.of(weight, decay=0.5)
    weight["w"].data.fill_(1.0)

    average.update(weight)
    assert average.weights["w"].item() == pytest.approx(0.9)  # decay 1/10
    average.update(weight)
    assert average.weights["w"].item() == pytest.approx(1 - 0.1 * 2 / 11)
    average.updates = 1000
    before = average.weights["w"].item()
    average.update(weight)
    assert 1 - average.weights["w"].item() == pytest.approx((1 - before) * 0.5, rel=1e-3)


def test_the_average_does_not_follow_the_weights_by_itself():
    weight = {"w": nn.Parameter(torch.zeros(2))}
    average = Average.of(weight, decay=0.9)

    weight["w"].data.fill_(7.0)

    assert torch.equal(average.weights["w"], torch.zeros(2))


def test_averages_of_bfloat16_weights_are_float32_and_go_back_rounded():
    weight = {"w": nn.Parameter(torch.ones(2, dtype=torch.bfloat16))}
    average = Average.of(weight, decay=0.9)
    average.weights["w"].fill_(1.001)

    average.copy_to(weight)

    assert average.weights["w"].dtype == torch.float32
    assert torch.equal(weight["w"].data, torch.full((2,), 1.001).bfloat16())
