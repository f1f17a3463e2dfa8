"""AdamW over the trained parameters, its schedule, and the average of the weights.

Changes weights in place; never decides when.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from touge.contract.recipe import Train

#: AdamW's moments (Loshchilov & Hutter 2019, arXiv 1711.05101); beta2 as is usual for large models.
BETAS = (0.9, 0.95)


def learning_rate(step: int, *, peak: float, warmup: int, steps: int) -> float:
    """Return the rate of a step, from 0: linear warm-up, then half a cosine down to zero behind the last step."""
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def build_optimiser(parameters: Mapping[str, nn.Parameter], settings: Train) -> torch.optim.AdamW:
    """Return AdamW with weight decay on matrices only, not on norms and biases."""
    matrices = [p for p in parameters.values() if p.ndim >= 2]
    vectors = [p for p in parameters.values() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    chosen = [group for group in groups if group["params"]]
    return torch.optim.AdamW(chosen, lr=settings.learning_rate, betas=BETAS, fused=True)


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of every group."""
    for group in optimiser.param_groups:
        group["lr"] = rate


@dataclass(slots=True)
class Average:
    """Exponential moving average of the trained weights, float32.

    The decay begins low, min(decay, (1 + n) / (10 + n)) after n updates, so that the random start is forgotten
    (as in TensorFlow's ExponentialMovingAverage).

    Attributes:
        decay: Largest decay.
        weights: The averages, by parameter name.
        updates: How many there were.
    """

    decay: float
    weights: dict[str, Tensor]
    updates: int = 0

    @classmethod
    def of(cls, parameters: Mapping[str, nn.Parameter], decay: float) -> Average:
        """Begin with the present weights."""
        return cls(decay, {name: p.detach().float().clone() for name, p in parameters.items()})

    @torch.no_grad()
    def update(self, parameters: Mapping[str, nn.Parameter]) -> None:
        """Move towards the present weights."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        present = [parameters[name].detach().float() for name in self.weights]
        torch._foreach_lerp_(list(self.weights.values()), present, 1 - decay)
        self.updates += 1

    @torch.no_grad()
    def copy_to(self, parameters: Mapping[str, nn.Parameter]) -> None:
        """Replace the present weights by their averages."""
        for name, average in self.weights.items():
            parameters[name].copy_(average)
