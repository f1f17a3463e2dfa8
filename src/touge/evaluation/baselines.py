"""What can be had without looking: predictions from ego motion alone, to be printed beside every model number.

On straight data a network that sees only its own past equals the state of the art (Zhai et al. 2023,
arXiv 2305.10430), so an average without these beside it says nothing.

Shapes: N windows, H = 16 history poses x, y, z, yaw, T = 64 future poses x, y, yaw; metres, radians, ego frame at t0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from touge.contract.sample import FUTURE_STEPS, STEP_S

Array = NDArray[np.float64]

_TIMES = STEP_S * np.arange(1, FUTURE_STEPS + 1)
#: Steps over which the present speed and yaw rate are taken: 0.5 s, so that one noisy pose does not decide.
_PRESENT = 5
_HIDDEN = 512
#: Windows that the ego-state network learns from at most; more change nothing, and every one takes a row of units.
_LEARNT = 20_000
_RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)


def constant_velocity(history: Array) -> Array:
    """Return [N, T, 3] that goes on at the present speed and heading, from history [N, H, 4]."""
    return _arcs(_speed(history), np.zeros(len(history)))


def constant_turn_rate(history: Array) -> Array:
    """Return [N, T, 3] that goes on at the present speed and yaw rate (CTRV), from history [N, H, 4]."""
    yaw = np.unwrap(history[..., 3], axis=1)
    return _arcs(_speed(history), (yaw[:, -1] - yaw[:, -1 - _PRESENT]) / (_PRESENT * STEP_S))


def straight_at_true_speed(truth: Array) -> Array:
    """Return [N, T, 3] that drives the true distances straight ahead: what perfect speed alone is worth."""
    origin = np.zeros_like(truth[:, :1, :2])
    steps = np.diff(np.concatenate([origin, truth[..., :2]], axis=1), axis=1)
    paths = np.zeros_like(truth)
    paths[..., 0] = np.cumsum(np.linalg.norm(steps, axis=-1), axis=1)
    return paths


@dataclass(frozen=True, slots=True)
class EgoMlp:
    """Past poses to future poses by one hidden layer of fixed random ReLU units and a ridge-regressed output layer.

    An extreme learning machine (Huang et al. 2006, doi:10.1016/j.neucom.2005.12.126): as flexible here as a
    trained network, and the same in every run. It learns what constant turn rate gets wrong.
    """

    mean: Array
    scale: Array
    hidden: Array
    bias: Array
    output: Array

    @classmethod
    def fit(cls, history: Array, future: Array, *, seed: int = 0) -> EgoMlp:
        """Fit on history [N, H, 4] and future [N, T, 3]; every fifth window chooses the ridge."""
        every = -(-len(history) // _LEARNT)
        history, future = history[::every], future[::every]
        inputs = _inputs(history)
        mean, scale = inputs.mean(axis=0), inputs.std(axis=0) + 1e-6
        generator = np.random.default_rng(seed)
        hidden = generator.normal(size=(inputs.shape[1], _HIDDEN)) / np.sqrt(inputs.shape[1])
        bias = generator.uniform(-1.0, 1.0, size=_HIDDEN)
        units = _units((inputs - mean) / scale, hidden, bias)
        target = (future - constant_turn_rate(history)).reshape(len(future), -1)
        return cls(mean, scale, hidden, bias, _ridge(units, target))

    def predict(self, history: Array) -> Array:
        """Return [N, T, 3] from history [N, H, 4]."""
        units = _units((_inputs(history) - self.mean) / self.scale, self.hidden, self.bias)
        return constant_turn_rate(history) + (units @ self.output).reshape(len(history), FUTURE_STEPS, 3)


def _speed(history: Array) -> Array:
    """Return the present speed [N], metres a second, negative backwards."""
    travelled = history[:, -1, :2] - history[:, -1 - _PRESENT, :2]
    speed: Array = np.sign(travelled[:, 0]) * np.linalg.norm(travelled, axis=1) / (_PRESENT * STEP_S)
    return speed


def _arcs(speed: Array, yaw_rate: Array) -> Array:
    """Return arcs [N, T, 3] from the origin; sinc keeps the straight line a case like any other."""
    yaw = yaw_rate[:, None] * _TIMES
    chord = speed[:, None] * _TIMES * np.sinc(yaw / (2.0 * np.pi))
    return np.stack([chord * np.cos(yaw / 2.0), chord * np.sin(yaw / 2.0), yaw], axis=-1)


def _inputs(history: Array) -> Array:
    yaw = np.unwrap(history[..., 3], axis=1)[..., None]
    planar = np.concatenate([history[..., :2], yaw], axis=-1)
    return np.concatenate([np.diff(planar, axis=1), planar[:, :-1]], axis=1).reshape(len(history), -1)


def _units(inputs: Array, hidden: Array, bias: Array) -> Array:
    rectified = np.maximum(0.0, inputs @ hidden + bias)
    return np.concatenate([rectified, inputs, np.ones((len(inputs), 1))], axis=1)


def _ridge(units: Array, target: Array) -> Array:
    """Solve the output layer with the ridge that does best on every fifth row."""
    held = np.arange(len(units)) % 5 == 4
    if not held.any():
        return _solve(units, target, _RIDGES[-1])
    errors = [
        float(((units[held] @ _solve(units[~held], target[~held], ridge) - target[held]) ** 2).mean())
        for ridge in _RIDGES
    ]
    return _solve(units, target, _RIDGES[int(np.argmin(errors))])


def _solve(units: Array, target: Array, ridge: float) -> Array:
    gram = units.T @ units + ridge * len(units) * np.eye(units.shape[1]) / 10.0
    weights: Array = np.linalg.solve(gram, units.T @ target).astype(np.float64)
    return weights
