"""Flow matching: the straight path from noise to action, its velocity, and Euler's way along it.

x_t = t x + (1 - t) noise, velocity x - noise (arXiv 2210.02747, optimal-transport path). Pure functions of
tensors: every random number comes from the caller.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: Largest training time, so that the velocity is never asked for at the action itself.
MAX_TIME = 0.999
#: t = 0.999 (1 - Beta(1.5, 1)): more weight on noisy times (as pi-0, arXiv 2410.24164, appendix B).
BETA = 1.5


def training_times(uniform: Tensor) -> Tensor:
    """Return training times of uniform numbers in [0, 1), by inversion: the distribution of Beta(a, 1) is x^a."""
    return MAX_TIME * (1 - uniform ** (1 / BETA))


def noisy_action(action: Tensor, noise: Tensor, time: Tensor) -> Tensor:
    """Return x_t for action and noise [..., T, 2] at times [...]."""
    at = time[..., None, None]
    return at * action + (1 - at) * noise


def flow_loss(velocity: Tensor, action: Tensor, noise: Tensor) -> Tensor:
    """Return the mean squared error [...] of velocities [..., T, 2] over all numbers of an action."""
    return (velocity.float() - (action - noise).float()).square().mean(dim=(-2, -1))


def sample(velocity: Callable[[Tensor, Tensor], Tensor], noise: Tensor, steps: int) -> Tensor:
    """Go from noise [..., T, 2] at t = 0 to an action at t = 1 in equal Euler steps.

    Args:
        velocity: (x [..., T, 2], time [...]) -> velocity [..., T, 2].
        noise: Where to begin, float32.
        steps: How many equal steps.
    """
    x, times = noise, torch.linspace(0, 1, steps + 1)
    for now, then in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        x = x + (then - now) * velocity(x, noise.new_full(noise.shape[:-2], now)).float()
    return x
