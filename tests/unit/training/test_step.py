"""One training step: the loss and its parts."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from touge.alpamayo.model import Losses
from touge.contract.recipe import Loss
from touge.training.draws import draw
from touge.training.step import Totals, train_step

PLAIN, WEIGHTED = Loss(), Loss(reasoning=10, trajectory_tokens=100, trajectory=1000)


def draws_of(batch, model):
    return draw(batch.ids, seed=0, step=0, draws=2, shape=model.config.action_shape)


def gradients(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def given_losses(nll, reasoning, flow):
    """A model that says this whatever it is asked."""
    return lambda *_: Losses(torch.tensor(nll), torch.tensor(reasoning), torch.tensor(flow))


def test_the_plain_loss_is_mean_nll_plus_mean_flow(model, inputs):
    batch = inputs.batch([0, 3])
    draws = draws_of(batch, model)

    loss, _ = train_step(model.losses, batch, draws, PLAIN)

    parts = model.losses(batch, draws.noise, draws.time)
    torch.testing.assert_close(loss, parts.nll.mean() + parts.flow.mean())


def test_each_part_has_its_weight_and_one_common_denominator(inputs):
    model = given_losses([1.0, 2.0, 4.0, 8.0], [True, False, False, True], [[2.0, 4.0], [6.0, 8.0]])
    batch = inputs.batch([0, 1])

    loss, _ = train_step(model, batch, draw(batch.ids, seed=0, step=0, draws=2, shape=(64, 2)), WEIGHTED, Totals(4, 2))

    assert loss.item() == pytest.approx((10 * (1 + 8) + 100 * (2 + 4)) / 4 + 1000 * (3 + 7) / 2)


@given(
    parts=st.lists(st.tuples(st.floats(0, 10, width=32), st.booleans()), min_size=2, max_size=9),
    weights=st.tuples(*[st.floats(0.125, 8, width=32)] * 3),
)
def test_the_loss_is_linear_in_its_weights(inputs, parts, weights):
    nll, reasoning = map(list, zip(*parts, strict=True))
    model, batch = given_losses(nll, reasoning, [[1.0, 3.0]]), inputs.text_batch([0])
    draws, totals = draw(batch.ids, seed=0, step=0, draws=2, shape=(64, 2)), Totals(len(nll), 1)

    def loss(*given_weights):
        chosen = dict(zip(("reasoning", "trajectory_tokens", "trajectory"), given_weights, strict=True))
        return train_step(model, batch, draws, Loss(**chosen), totals)[0].item()

    units = [loss(1, 0, 0), loss(0, 1, 0), loss(0, 0, 1)]
    assert loss(*weights) == pytest.approx(sum(w * unit for w, unit in zip(weights, units, strict=True)), rel=1e-4)


def test_trajectory_tokens_without_weight_change_nothing_else(model, inputs):
    batch = inputs.batch([0, 3])
    draws = draws_of(batch, model)

    loss, _ = train_step(model.losses, batch, draws, Loss(trajectory_tokens=0))

    parts = model.losses(batch, draws.noise, draws.time)
    expected = parts.nll[parts.reasoning].sum() / len(parts.nll) + parts.flow.mean()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)


def test_micro_batches_add_up_to_the_gradient_of_the_large_batch(model, inputs):
    large = inputs.batch([0, 1, 2, 3])
    loss, together = train_step(model.losses, large, draws_of(large, model), PLAIN)
    loss.backward()
    expected = gradients(model)

    model.zero_grad()
    parts = [inputs.batch(indices) for indices in ([0], [1, 3], [2])]
    sums = []
    for part in parts:
        loss, metrics = train_step(model.losses, part, draws_of(part, model), PLAIN, Totals.of(large))
        loss.backward()
        sums.append(metrics.sums)

    torch.testing.assert_close(torch.stack(sums).sum(dim=0), together.sums, rtol=1e-4, atol=1e-4)
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-3, atol=1e-5, msg=name)


def test_micro_batches_that_divide_by_their_own_size_would_not_add_up(model, inputs):
    large, parts = inputs.batch([0, 1, 2, 3]), [inputs.batch([0]), inputs.batch([1, 2, 3])]
    with torch.no_grad():
        expected = train_step(model.losses, large, draws_of(large, model), PLAIN)[0]
        own = sum(train_step(model.losses, part, draws_of(part, model), PLAIN)[0] for part in parts)

    assert not torch.isclose(own, expected, rtol=0.1)


def test_more_draws_are_averaged_not_added(model, inputs):
    batch = inputs.batch([0])
    one = draw(batch.ids, seed=0, step=0, draws=1, shape=model.config.action_shape)
    thrice = replace(one, noise=one.noise.repeat(1, 3, 1, 1), time=one.time.repeat(1, 3))
    with torch.no_grad():
        torch.testing.assert_close(
            train_step(model.losses, batch, thrice, PLAIN)[0], train_step(model.losses, batch, one, PLAIN)[0]
        )


def test_metrics_are_the_parts_of_the_loss_and_carry_no_gradient(model, inputs):
    batch = inputs.batch([0, 3])

    loss, metrics = train_step(model.losses, batch, draws_of(batch, model), PLAIN)

    total, reasoning, tokens, flow, spoken = metrics.sums.tolist()
    labels = int(batch.labels.sum())
    assert total == pytest.approx(loss.item())
    assert total == pytest.approx((reasoning + tokens) / labels + flow / 2, rel=1e-5)
    assert spoken == int(batch.reasoning.sum())
    assert not metrics.sums.requires_grad
