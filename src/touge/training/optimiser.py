"""AdamW over the trained parameters, its schedule, clipping, and the average of the weights.

Changes weights in place; never decides when. A bfloat16 weight is stepped in float32, some rows at a time, and rounded
by chance (`rounding`); how moments are kept is `moments`' (docs/decisions/005).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from touge.contract.recipe import Train
from touge.training.draws import unsigned
from touge.training.moments import EightBit, Moments, Plain, Rates, step_together
from touge.training.rounding import round_into
from touge.training.sharding import local, place, zeros_beside

#: Numbers stepped at once: 32 MiB of each float32 temporary, of which there are four.
CHUNK = 1 << 23

#: Which parameters are whose; the first that fits counts.
_TOWERS = {"vision": "vlm.model.visual.", "language_model": "vlm.", "expert": ""}
_KINDS: Mapping[str, Moments] = {
    "float32": Plain(torch.float32),
    "bfloat16": Plain(torch.bfloat16),
    "8bit": EightBit(),
}


def learning_rate(step: int, *, peak: float, warmup: int, steps: int) -> float:
    """Return the rate of a step, from 0: linear warm-up, then half a cosine down to zero behind the last step."""
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def tower_of(name: str) -> str:
    """Return whose a parameter is: `language_model`, `vision` or `expert`."""
    return next(tower for tower, prefix in _TOWERS.items() if name.startswith(prefix))


class AdamW(torch.optim.Optimizer):
    """AdamW over float32 and bfloat16 weights, whole or split over processes.

    Args:
        groups: Each with `params`, `weight_decay` and `peak`, the learning rate that its schedule starts from.
        states: How the moments of matrices are kept; see `touge.contract.recipe.Optimiser`.
        seed: Decides with the number of the step how weights are rounded.

    Attributes:
        steps: How many were done.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], *, states: str | None, seed: int) -> None:
        super().__init__(groups, {"lr": 0.0})
        for group in self.param_groups:
            group["lr"] = group["peak"]
        weights = [weight for group in self.param_groups for weight in group["params"]]
        self.steps, self._seed, self._place, self._states = 0, unsigned(seed), place(weights), states
        self._together = {weight for weight in weights if self._is_plain(weight)}
        for weight in weights:
            shapes = self._moments(weight).shapes(tuple(weight.shape))
            self.state[weight] = {name: zeros_beside(weight, *shape) for name, shape in shapes.items()}

    @torch.no_grad()
    def step(self, closure: object = None) -> None:  # type: ignore[override]  # noqa: ARG002 - torch's signature
        """Change every weight that has a gradient."""
        self.steps += 1
        dice = _Dice([self._seed, self.steps, self._place])
        for group in self.param_groups:
            rates = Rates(self.steps, group["lr"], group["weight_decay"])
            given = [(w, w.grad) for w in group["params"] if w.grad is not None and local(w).numel()]
            self._step_together([(w, gradient) for w, gradient in given if w in self._together], rates)
            for weight, gradient in given:
                if weight not in self._together:
                    self._step_by_rows(weight, gradient, rates, dice)

    def schedule(self, step: int, settings: Train) -> None:
        """Set the learning rates of a step, from 0."""
        for group in self.param_groups:
            group["lr"] = learning_rate(step, peak=group["peak"], warmup=settings.warmup_steps, steps=settings.steps)

    def _moments(self, weight: Tensor) -> Moments:
        if weight.ndim < 2:
            return _KINDS["float32"]
        return _KINDS[self._states or ("8bit" if weight.dtype == torch.bfloat16 else "float32")]

    def _is_plain(self, weight: Tensor) -> bool:
        """Whether weight and moments are float32, which torch steps many at a time."""
        return weight.dtype == torch.float32 and self._moments(weight) == _KINDS["float32"]

    def _step_together(self, given: list[tuple[Tensor, Tensor]], rates: Rates) -> None:
        kept = [self.state[weight] for weight, _ in given]
        if given:
            step_together(
                [local(weight) for weight, _ in given],
                [local(gradient) for _, gradient in given],
                [local(moments["exp_avg"]) for moments in kept],
                [local(moments["exp_avg_sq"]) for moments in kept],
                rates,
            )

    def _step_by_rows(self, weight: Tensor, gradient: Tensor, rates: Rates, dice: _Dice) -> None:
        """Step a weight in float32 without a float32 copy of it."""
        kind, weights, gradients = self._moments(weight), _rows(weight), _rows(gradient.contiguous())
        moments = {name: _rows(moment) for name, moment in self.state[weight].items()}
        for some in _slices(weights):
            stepped = weights[some].float()
            kind.step(stepped, gradients[some].float(), {name: kept[some] for name, kept in moments.items()}, rates)
            if weight.dtype == torch.bfloat16:
                round_into(weights[some], stepped, dice.of(stepped.device))


def build_optimiser(parameters: Mapping[str, nn.Parameter], settings: Train) -> AdamW:
    """Return AdamW with a learning rate for each tower and weight decay on matrices only, not on norms and biases."""
    groups = []
    for tower, is_matrix in product(_TOWERS, (True, False)):
        given = [p for name, p in parameters.items() if tower_of(name) == tower and (p.ndim >= 2) == is_matrix]
        peak = getattr(settings.learning_rates, tower) or settings.learning_rate
        groups.append({"params": given, "peak": peak, "weight_decay": settings.weight_decay if is_matrix else 0.0})
    chosen = [group for group in groups if group["params"]]
    return AdamW(chosen, states=settings.optimiser.states, seed=settings.seed)


def total_norm(gradients: Iterable[Tensor], add: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the norm of all gradients, float32, without a float32 copy of any.

    Args:
        gradients: Whole, or all of them split over processes.
        add: Sums a tensor over the processes.
    """
    given = list(gradients)
    own = [local(gradient) for gradient in given]
    norms = torch._foreach_norm(own, 2, dtype=torch.float32)  # noqa: SLF001 - one launch, as torch's own clipping
    norm = torch.linalg.vector_norm(torch.stack(list(norms)))
    return add(norm.square()).sqrt() if isinstance(given[0], DTensor) else norm


def clip(gradients: Iterable[Tensor], limit: float, norm: Tensor) -> None:
    """Scale gradients of this norm in place, so that their norm is at most `limit`."""
    factor = torch.clamp(limit / (norm + 1e-6), max=1.0)
    torch._foreach_mul_([local(gradient) for gradient in gradients], factor)


class _Dice:
    """Random numbers of one step, on each device their own."""

    def __init__(self, seed: list[int]) -> None:
        self._seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
        self._generators: dict[torch.device, torch.Generator] = {}

    def of(self, device: torch.device) -> torch.Generator:
        """Return the device's generator, where it was left."""
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self._seed)
        return self._generators[device]


def _rows(tensor: Tensor) -> Tensor:
    """Return this process's part as rows; a vector is one row."""
    own = local(tensor)
    return own.view(len(own), -1) if tensor.ndim > 1 else own.view(1, -1)


def _slices(rows: Tensor) -> Iterator[slice]:
    count = max(1, CHUNK // rows.shape[1])
    return (slice(start, start + count) for start in range(0, len(rows), count))


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
        present = [local(parameters[name]).detach().float() for name in self.weights]
        torch._foreach_lerp_([local(average) for average in self.weights.values()], present, 1 - decay)
        self.updates += 1

    @torch.no_grad()
    def copy_to(self, parameters: Mapping[str, nn.Parameter]) -> None:
        """Replace the present weights by their averages."""
        for name, average in self.weights.items():
            local(parameters[name]).copy_(local(average))
