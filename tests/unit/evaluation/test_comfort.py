"""Comfort bounds."""

import numpy as np
import pytest
from scipy.signal import savgol_filter

from touge.evaluation.comfort import _derivative, comfortable

from .paths import arc


def braking(deceleration: float, speed: float = 20.0) -> np.ndarray:
    t = 0.1 * np.arange(1, 65)
    path = np.zeros((64, 3))
    path[:, 0] = speed * t - 0.5 * deceleration * t**2
    return path


@pytest.mark.parametrize(
    ("path", "fine"),
    [
        (arc(np.inf, speed=20.0), True),
        (arc(40.0, speed=10.0), True),  # 2.5 m/s² to the side
        (arc(25.0, speed=12.0), False),  # 5.8 m/s² to the side
        (arc(5.0, speed=5.0), False),  # a yaw rate of 1 rad/s
        (braking(2.0), True),
        (braking(5.0, speed=40.0), False),
    ],
)
def test_a_path_is_comfortable_within_nuplans_bounds(path, fine):
    assert comfortable(path[None]).tolist() == [fine]


def test_a_millimetre_of_noise_is_no_jerk():
    noisy = arc(np.inf, speed=10.0)
    noisy[:, :2] += np.random.default_rng(0).normal(0.0, 0.001, (64, 2))

    assert comfortable(noisy[None]).tolist() == [True]


def test_derivatives_are_those_of_a_savitzky_golay_filter():
    values = np.random.default_rng(1).normal(size=(2, 65))

    expected = savgol_filter(values, 15, 2, deriv=1, delta=0.1, axis=1)

    np.testing.assert_allclose(_derivative(values, 1), expected, atol=1e-9)
