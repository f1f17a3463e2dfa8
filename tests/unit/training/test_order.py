"""Which sample comes when."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touge.contract.errors import DataError
from touge.training.order import Order, shares

WEIGHTS = st.lists(st.floats(0, 5), min_size=1, max_size=30).filter(lambda weights: sum(weights) > 0.5)
SEEDS = st.integers(-(2**40), 2**40)


@given(count=st.integers(1, 50), seed=SEEDS, epoch=st.integers(0, 5))
def test_equal_weights_bring_every_sample_once_an_epoch(count, seed, epoch):
    order = Order((1.0,) * count, seed)

    assert list(range(count)) == sorted(order.samples(epoch * count, count))


@given(weights=WEIGHTS, seed=SEEDS)
def test_a_sample_comes_as_often_as_its_weight_says(weights, seed):
    order = Order(tuple(weights), seed)

    came = Counter(order.samples(0, order.epoch_length))

    for index, weight in enumerate(weights):
        expected = weight * order.epoch_length / sum(weights)
        assert abs(came[index] - expected) < 1 + 1e-6


def test_a_weight_between_two_counts_is_met_on_average():
    order = Order((2.5, 0.5, 1.0), seed=0)

    came = Counter(order.samples(0, 400 * order.epoch_length))

    assert came[0] / 400 == pytest.approx(2.5, abs=0.1)
    assert came[1] / 400 == pytest.approx(0.5, abs=0.1)
    assert came[2] / 400 == pytest.approx(1.0, abs=0.1)


@given(weights=WEIGHTS, seed=SEEDS, first=st.integers(0, 100), count=st.integers(0, 60))
def test_what_comes_at_a_position_depends_on_the_position_alone(weights, seed, first, count):
    order = Order(tuple(weights), seed)

    assert order.samples(0, first + count)[first:] == order.samples(first, count)


def test_epochs_and_seeds_shuffle_differently():
    order = Order((1.0,) * 20, seed=0)

    orders = {tuple(order.samples(0, 20)), tuple(order.samples(20, 20)), tuple(Order((1.0,) * 20, 1).samples(0, 20))}
    assert len(orders) == 3


def test_the_order_of_a_seed_is_the_same_on_every_machine():
    assert [1, 0, 4, 5, 2, 3, 5, 0] == Order((1.0,) * 6, seed=7).samples(0, 8)


@pytest.mark.parametrize("weights", [(), (0.0, 0.0), (1.0, -1.0, 3.0)])
def test_weights_that_leave_nothing_to_draw_are_refused(weights):
    with pytest.raises(DataError, match=f"{len(weights)} training samples"):
        Order(weights, seed=0)


@given(micro_steps=st.integers(1, 4), ranks=st.integers(1, 4), size=st.integers(1, 4))
def test_ranks_and_micro_steps_share_a_step_without_loss_or_repetition(micro_steps, ranks, size):
    step = list(range(micro_steps * ranks * size))

    parts = [shares(step, micro_steps, rank, ranks) for rank in range(ranks)]

    assert step == sorted(sample for rank in parts for micro in rank for sample in micro)
    assert {size} == {len(micro) for rank in parts for micro in rank}


def test_a_micro_step_of_all_ranks_is_one_piece_of_the_step():
    assert [[0, 1], [4, 5]] == shares(range(8), 2, rank=0, ranks=2)
    assert [[2, 3], [6, 7]] == shares(range(8), 2, rank=1, ranks=2)
