"""Noise and times of the flow loss."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from touge.alpamayo.actions.flow_matching import MAX_TIME
from touge.training.draws import draw, unsigned

SHAPE = (64, 2)


def one(sample="a", *, seed=0, step=0, draws=2):
    return draw([sample], seed=seed, step=step, draws=draws, shape=SHAPE)


def equal(first, second):
    return torch.equal(first.noise, second.noise) and torch.equal(first.time, second.time)


def test_equal_seed_step_and_sample_give_equal_draws():
    assert equal(one(), one())


@pytest.mark.parametrize("change", [{"sample": "b"}, {"seed": 1}, {"step": 1}, {"seed": -1}])
def test_another_seed_step_or_sample_gives_other_draws(change):
    assert not torch.equal(one().noise, one(**change).noise)
    assert not torch.equal(one().time, one(**change).time)


@given(st.lists(st.text(max_size=8), min_size=1, max_size=6), st.data())
def test_a_sample_draws_the_same_in_any_batch(ids, data):
    shuffled = data.draw(st.permutations(ids))
    batch = draw(shuffled, seed=3, step=5, draws=2, shape=SHAPE)

    for row, sample in enumerate(shuffled):
        alone = one(sample, seed=3, step=5)
        assert torch.equal(alone.noise[0], batch.noise[row])
        assert torch.equal(alone.time[0], batch.time[row])


def test_draws_know_nothing_of_torchs_or_numpys_own_chance():
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - the global state is what must not matter
    first = one()
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002

    assert equal(first, one())


def test_the_draws_of_a_key_are_the_same_on_every_machine():
    drawn = one("drive@1", seed=0, step=0, draws=1)

    np.testing.assert_allclose(drawn.noise.flatten()[:3], [1.588615, -0.942329, 0.950561], atol=1e-5)
    np.testing.assert_allclose(drawn.time.flatten(), [0.8227909], atol=1e-5)


def test_noise_is_standard_normal_and_times_lean_to_the_noisy_end():
    drawn = draw([str(number) for number in range(200)], seed=0, step=0, draws=8, shape=SHAPE)

    assert drawn.noise.mean().item() == pytest.approx(0, abs=0.01)
    assert drawn.noise.std().item() == pytest.approx(1, abs=0.01)
    assert drawn.time.mean().item() == pytest.approx(MAX_TIME * (1 - 0.6), abs=0.02)  # Beta(1.5, 1) has mean 0.6
    assert drawn.time.min() >= 0
    assert drawn.time.max() <= MAX_TIME


@given(st.text(max_size=8), st.integers(1, 9))
def test_each_equal_share_of_the_times_distribution_holds_one_time_of_a_sample(sample, draws):
    times = one(sample, draws=draws).time[0].double()

    shares = draws * (1 - times / MAX_TIME).clamp(min=0).sort().values ** 1.5  # of Beta(1.5, 1)
    assert all(index - 1e-4 <= share <= index + 1 + 1e-4 for index, share in enumerate(shares.tolist()))


def test_noise_at_one_time_says_nothing_of_that_at_another():
    noise = draw([str(number) for number in range(200)], seed=0, step=0, draws=2, shape=SHAPE).noise.flatten(2)

    assert (noise[:, 0] * noise[:, 1]).mean().item() == pytest.approx(0, abs=0.02)


def test_draws_are_float32_of_the_asked_shape():
    drawn = draw(["a", "b", "c"], seed=0, step=0, draws=5, shape=SHAPE)

    assert (3, 5, 64, 2) == drawn.noise.shape
    assert (3, 5) == drawn.time.shape
    assert {torch.float32} == {drawn.noise.dtype, drawn.time.dtype}


@given(st.integers(-(2**63), 2**63))
def test_a_seed_is_kept_and_a_negative_one_wrapped(seed):
    assert unsigned(seed) == (seed if seed >= 0 else 2**64 + seed)
