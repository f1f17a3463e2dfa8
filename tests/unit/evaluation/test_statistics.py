"""Clustered intervals: known answers, and coverage by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from touge.evaluation.statistics import (
    gain_error_change,
    interval,
    ratio,
    ratio_difference,
    relative_change,
    worse_gain,
    worse_gain_error_change,
)


def means(values: np.ndarray) -> np.ndarray:
    """Sums of clusters of one window each."""
    return np.column_stack([values, np.ones_like(values)])


def skewed(generator: np.random.Generator, clusters: int) -> np.ndarray:
    """Clusters of unequal size whose errors are log-normal: truth is exp(1/2)."""
    sizes = generator.integers(2, 12, clusters)
    return np.column_stack([sizes * generator.lognormal(0.0, 1.0, clusters), sizes])


def test_with_few_clusters_the_interval_of_a_mean_is_students():
    values = np.array([1.0, 2.0, 4.0, 8.0, 9.0, 12.0, 13.0, 20.0])

    found = interval(means(values), ratio)

    low, high = stats.t.interval(0.95, 7, values.mean(), stats.sem(values))
    assert (found.value, found.low, found.high) == pytest.approx((values.mean(), low, high))
    assert found.method == "cluster_t"


def test_from_twenty_clusters_on_the_studentised_bootstrap_is_used():
    found = interval(means(np.random.default_rng(0).normal(size=20)), ratio)

    assert found.method == "studentised_cluster_bootstrap"


def test_the_bootstrap_of_a_normal_mean_is_close_to_students():
    values = np.random.default_rng(1).normal(size=60)

    found = interval(means(values), ratio)

    low, high = stats.t.interval(0.95, 59, values.mean(), stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.05)


def test_the_interval_of_a_right_skewed_mean_reaches_farther_up():
    found = interval(means(np.random.default_rng(2).lognormal(0.0, 1.0, 40)), ratio)

    assert found.high - found.value > 1.2 * (found.value - found.low)


@pytest.mark.parametrize(("clusters", "at_least"), [(12, 0.80), (20, 0.87), (40, 0.90)])
def test_intervals_cover_a_skewed_mean_about_as_often_as_they_say(clusters, at_least):
    generator = np.random.default_rng(clusters)
    found = [interval(skewed(generator, clusters), ratio) for _ in range(300)]

    assert np.mean([f.low <= np.exp(0.5) <= f.high for f in found]) >= at_least


@pytest.mark.parametrize("clusters", [12, 20, 40])
def test_paired_intervals_cover_a_relative_change(clusters):
    generator = np.random.default_rng(clusters)

    def draw(count: int) -> np.ndarray:
        sizes = generator.integers(2, 12, count)
        base = generator.lognormal(1.5, 0.6, count)
        tuned = base * generator.lognormal(-1.0, 0.4, count)
        return np.column_stack([sizes * base, sizes, sizes * tuned, sizes])

    truth = np.exp(-1.0 + 0.08) - 1.0
    found = [interval(draw(clusters), relative_change) for _ in range(300)]

    assert np.mean([f.low <= truth <= f.high for f in found]) >= 0.90


def test_windows_of_one_cluster_do_not_narrow_the_interval():
    values = np.random.default_rng(3).normal(size=30)
    alone = interval(means(values), ratio)
    repeated = interval(100 * means(values), ratio)

    assert (repeated.low, repeated.high) == pytest.approx((alone.low, alone.high))


def test_the_same_seed_gives_the_same_interval():
    sums = skewed(np.random.default_rng(4), 30)

    assert interval(sums, ratio, seed=7) == interval(sums, ratio, seed=7)


def test_a_constant_difference_has_an_interval_without_width():
    base = np.random.default_rng(5).normal(size=25)
    sums = np.hstack([means(base), means(base + 0.5)])

    found = interval(sums, ratio_difference)

    assert (found.low, found.high) == pytest.approx((0.5, 0.5))


def test_clusters_that_say_nothing_are_not_counted():
    sums = np.vstack([means(np.arange(1.0, 11.0)), np.zeros((30, 2))])

    assert interval(sums, ratio).clusters == 10


def test_a_mean_over_no_windows_is_no_figure():
    assert interval(np.zeros((10, 2)), ratio) is None


def test_one_cluster_has_a_value_and_no_bounds():
    found = interval(means(np.array([3.0])), ratio)

    assert (found.value, found.low, found.high) == (3.0, None, None)


def test_a_share_that_only_one_drive_shows_has_a_finite_interval():
    values = np.zeros(40)
    values[3] = 1.0

    found = interval(means(values), ratio)

    assert np.isfinite([found.low, found.high]).all()


def test_the_gains_pooled_are_the_one_farther_from_one():
    assert worse_gain(np.array([0.9, 1.0, 1.3, 1.0])) == pytest.approx(1.3)
    assert worse_gain(np.array([0.6, 1.0, 1.3, 1.0])) == pytest.approx(0.6)


def test_a_side_without_windows_leaves_the_other_to_speak():
    assert worse_gain(np.array([0.0, 0.0, 0.7, 1.0])) == pytest.approx(0.7)
    assert worse_gain(np.array([0.7, 1.0, 0.0, 0.0])) == pytest.approx(0.7)


def test_an_overshoot_is_an_error_like_a_shortfall():
    assert gain_error_change(np.array([0.2, 1.0, 1.1, 1.0])) == pytest.approx(-0.7)
    assert worse_gain_error_change(np.array([0.1, 1, 0.2, 1, 0.9, 1, 1.3, 1.0])) == pytest.approx(0.3 - 0.9)


@given(st.floats(0.01, 100.0), st.integers(0, 1000))
def test_estimates_do_not_depend_on_the_scale_of_the_sums(scale, seed):
    sums = skewed(np.random.default_rng(seed), 10)

    assert interval(scale * sums, ratio).high == pytest.approx(interval(sums, ratio).high, rel=1e-6)
