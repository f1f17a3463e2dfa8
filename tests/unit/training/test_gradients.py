"""Replayed passes add the gradients that computed ones add."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from tiny_training import settings

from touge.alpamayo.budget.economy import Economy
from touge.training.draws import draw
from touge.training.gradients import Computed, CudaTape, Recorded
from touge.training.ranks import Ranks
from touge.training.step import Totals
from touge.training.weights import choose_weights

ECONOMY = Economy(columns=64, cuda_graphs=True)


class Cassette:
    """A tape for a device that runs what it is given at once: it does the recorded work again, and counts."""

    def __init__(self):
        self.recorded, self.replayed = 0, 0

    def aside(self):
        return nullcontext()

    def rehearse(self, work):
        return work()

    def record(self, work):
        self.recorded += 1

        def again():
            self.replayed += 1
            return work()

        return again


@pytest.fixture
def trained(model):
    """Two windows of different lengths a batch; only adapters are trained, and they have something to say."""
    weights = choose_weights(model.train(), settings())
    dice = torch.Generator().manual_seed(2)
    for name, weight in weights.items():
        if "lora_B" in name:
            weight.data = torch.randn(weight.shape, generator=dice) * 0.05
    return model, weights


def steps_of(inputs, model, steps):
    """Return batch and draws of each step."""
    shape = model.config.action_shape
    batches = [inputs.batch(indices) for indices in steps]
    return [(batch, draw(batch.ids, seed=0, step=n, draws=2, shape=shape)) for n, batch in enumerate(batches)]


def computed(model, weights, train):
    ranks = Ranks()
    return Computed(ranks.wrap(model, train), weights.values(), train, ranks)


def recorded(model, weights, train, tape):
    return Recorded(model, weights.values(), train, Ranks(), tape)


def run(gradients, weights, given, totals=None):
    """Return the sums and the gradients of each step."""
    found = []
    for batch, draws in given:
        sums = gradients.add(batch, draws, totals or Totals.of(batch), last=True)
        found.append((sums, {name: weight.grad.clone() for name, weight in weights.items()}))
        gradients.clear()
    return found


@pytest.mark.parametrize("tokens", [1.0, 0.0], ids=["all labels", "reasoning alone"])
def test_replayed_steps_have_the_sums_and_gradients_of_computed_ones(trained, inputs, tokens):
    model, weights = trained
    train = settings(loss={"trajectory_tokens": tokens, "reasoning": 3})
    given = steps_of(inputs, model, [[0, 3], [1, 3], [3, 2], [4, 5], [0, 5]])
    expected = run(computed(model, weights, train), weights, given)

    model.economise(ECONOMY)
    tape = Cassette()
    found = run(recorded(model, weights, train, tape), weights, given)

    assert tape.replayed >= 2
    for (sums, gradients), (expected_sums, expected_gradients) in zip(found, expected, strict=True):
        torch.testing.assert_close(sums, expected_sums, rtol=1e-4, atol=1e-5)
        for name, gradient in expected_gradients.items():
            torch.testing.assert_close(gradients[name], gradient, rtol=1e-3, atol=1e-6, msg=name)


def test_a_shape_is_computed_then_recorded_then_only_replayed(trained, inputs):
    model, weights = trained
    model.economise(ECONOMY)
    tape = Cassette()
    gradients = recorded(model, weights, settings(), tape)
    seen = []

    for step in steps_of(inputs, model, [[1], [2], [4], [1, 2], [5]]):
        run(gradients, weights, [step])
        seen.append((tape.recorded, tape.replayed))

    assert seen == [(0, 0), (1, 1), (1, 2), (1, 2), (1, 3)]


def test_micro_batches_add_up_until_they_are_cleared(trained, inputs):
    model, weights = trained
    model.economise(ECONOMY)
    gradients = recorded(model, weights, settings(), Cassette())
    (first, draws), (second, others) = steps_of(inputs, model, [[1], [2]])
    totals = Totals(Totals.of(first).labels + Totals.of(second).labels, 2)
    alone = run(gradients, weights, [(first, draws), (second, others)], totals)

    gradients.add(first, draws, totals, last=False)
    gradients.add(second, others, totals, last=True)

    for name, weight in weights.items():
        expected = alone[0][1][name] + alone[1][1][name]
        torch.testing.assert_close(weight.grad, expected, rtol=1e-4, atol=1e-7, msg=name)
    gradients.clear()
    assert not any(weight.grad.any() for weight in weights.values())


class Twins:
    """Two ranks whose batches are equal."""

    count, device = 2, torch.device("cpu")

    def add(self, tensor):
        return tensor * 2


def test_behind_the_last_micro_batch_the_gradients_are_those_of_all_ranks(trained, inputs):
    model, weights = trained
    model.economise(ECONOMY)
    (batch, draws), totals = steps_of(inputs, model, [[1]])[0], Totals(200, 4)
    alone = run(recorded(model, weights, settings(), Cassette()), weights, [(batch, draws)], totals)[0][1]
    gradients = Recorded(model, weights.values(), settings(), Twins(), Cassette())

    gradients.add(batch, draws, totals, last=False)
    gradients.add(batch, draws, totals, last=True)

    for name, weight in weights.items():
        torch.testing.assert_close(weight.grad, 4 * alone[name], rtol=1e-4, atol=1e-7, msg=name)


def test_gradients_of_one_type_lie_side_by_side(trained, inputs):
    model, weights = trained
    mixed = dict(weights)
    some = next(iter(mixed.values()))
    some.data = some.data.bfloat16()

    recorded(model, mixed, settings(), Cassette())

    storages = {(w.grad.dtype, w.grad.untyped_storage().data_ptr()) for w in mixed.values()}
    assert {kind for kind, _ in storages} == {torch.float32, torch.bfloat16}
    assert len(storages) == 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("economy", [ECONOMY, replace(ECONOMY, recompute=1)], ids=["kept", "computed again"])
def test_cuda_graphs_add_the_gradients_of_computed_steps(trained, inputs, economy):
    model, weights = trained
    model.cuda()
    train = settings()
    given = [
        (batch.to("cuda"), draws.to("cuda"))
        for batch, draws in steps_of(inputs, model, [[0, 3], [1, 3], [3, 2], [4, 5], [0, 5], [6, 3]])
    ]
    expected = run(computed(model, weights, train), weights, given)

    model.economise(economy)
    found = run(recorded(model, weights, train, CudaTape()), weights, given)

    for (sums, gradients), (expected_sums, expected_gradients) in zip(found, expected, strict=True):
        torch.testing.assert_close(sums, expected_sums, rtol=1e-4, atol=1e-5)
        for name, gradient in expected_gradients.items():
            torch.testing.assert_close(gradients[name], gradient, rtol=1e-3, atol=1e-5, msg=name)
