"""What can be had without looking."""

import numpy as np
import pytest

from touge.evaluation.baselines import EgoMlp, constant_turn_rate, constant_velocity, straight_at_true_speed

from .paths import arc, history


def test_constant_velocity_goes_straight_on():
    np.testing.assert_allclose(constant_velocity(history(speed=12.0)[None])[0], arc(np.inf, speed=12.0), atol=1e-9)


def test_constant_turn_rate_goes_on_round_the_bend():
    np.testing.assert_allclose(constant_turn_rate(history(speed=10.0, yaw_rate=0.125)[None])[0], arc(80.0), atol=0.03)


def test_a_standing_car_stays():
    assert np.abs(constant_turn_rate(history(speed=0.0)[None])).max() == 0.0


def test_straight_at_true_speed_is_as_far_as_the_truth_and_nowhere_beside():
    paths = straight_at_true_speed(arc(80.0, speed=7.0)[None])

    np.testing.assert_allclose(paths[0, :, 0], arc(np.inf, speed=7.0)[:, 0], rtol=1e-3)
    assert np.abs(paths[..., 1:]).max() == 0.0


def drives(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cars whose turn rate halves at t0: constant turn rate is wrong in a way that can be learned."""
    generator = np.random.default_rng(seed)
    rates, speeds = generator.uniform(-0.3, 0.3, count), generator.uniform(5.0, 15.0, count)
    past = np.stack([history(v, w) for v, w in zip(speeds, rates, strict=True)])
    future = np.stack([arc(2 * v / w, v) for v, w in zip(speeds, rates, strict=True)])
    return past, future


def error(predicted: np.ndarray, future: np.ndarray) -> float:
    return float(np.linalg.norm((predicted - future)[..., :2], axis=-1).mean())


def test_the_ego_mlp_learns_what_constant_turn_rate_gets_wrong():
    past, future = drives(600, seed=0)
    fresh_past, fresh_future = drives(100, seed=1)

    learned = EgoMlp.fit(past, future).predict(fresh_past)

    assert error(learned, fresh_future) < 0.3 * error(constant_turn_rate(fresh_past), fresh_future)


def test_the_ego_mlp_is_the_same_every_time():
    past, future = drives(40, seed=0)

    np.testing.assert_array_equal(EgoMlp.fit(past, future).predict(past), EgoMlp.fit(past, future).predict(past))


@pytest.mark.parametrize("count", [1, 3])
def test_the_ego_mlp_survives_a_handful_of_windows(count):
    past, future = drives(count, seed=0)

    assert np.isfinite(EgoMlp.fit(past, future).predict(past)).all()
