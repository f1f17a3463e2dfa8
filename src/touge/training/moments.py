"""AdamW's two moments of each weight: how they are kept, and the step on some rows of them in float32.

`Plain` moments are numbers, stepped by torch; `EightBit` ones are bytes, stepped by bitsandbytes' kernel in blocks
that never cross a row, so that rows may be split over processes anyhow. Between `optimiser`, which walks over the
weights, and the libraries. Everything is a tensor of the weight's own rows: what holds a weight's rows holds these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor, nn

#: AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101); beta2 as is usual for large models.
BETAS = (0.9, 0.95)
EPSILON = 1e-8
#: Numbers that share a scale: bitsandbytes' own for optimisers (Dettmers et al. 2022, arXiv 2110.02861).
BLOCK = 256


@dataclass(frozen=True, slots=True)
class Rates:
    """One step's: its number from 1, learning rate, weight decay."""

    step: int
    learning_rate: float
    weight_decay: float


class Moments(Protocol):
    """How moments are kept."""

    def shapes(self, rows: tuple[int, ...]) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
        """Return shape and type of each tensor beside a weight of this shape; the first size is the weight's."""
        ...

    def step(self, weight: Tensor, gradient: Tensor, moments: Mapping[str, Tensor], rates: Rates) -> None:
        """Step some rows of a weight [R, C] by their gradient, all float32, in place."""
        ...


@dataclass(frozen=True, slots=True)
class Plain:
    """Moments as numbers of one type."""

    dtype: torch.dtype

    def shapes(self, rows: tuple[int, ...]) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
        """See `Moments`."""
        return {"exp_avg": (rows, self.dtype), "exp_avg_sq": (rows, self.dtype)}

    def step(self, weight: Tensor, gradient: Tensor, moments: Mapping[str, Tensor], rates: Rates) -> None:
        """See `Moments`."""
        kept = [moments["exp_avg"], moments["exp_avg_sq"]]
        mean, square = (moment.float() for moment in kept)
        step_together([weight], [gradient], [mean], [square], rates)
        for moment, value in zip(kept, (mean, square), strict=True):
            if moment is not value:
                moment.copy_(value)


@dataclass(frozen=True, slots=True)
class EightBit:
    """Moments as bytes with a float32 scale for every block of a row."""

    def shapes(self, rows: tuple[int, ...]) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
        """See `Moments`."""
        blocks = -(-math.prod(rows[1:]) // BLOCK)
        codes, scales = ((rows[0], blocks * BLOCK), torch.uint8), ((rows[0], blocks), torch.float32)
        return {"exp_avg": codes, "exp_avg_sq": codes, "exp_avg_scale": scales, "exp_avg_sq_scale": scales}

    def step(self, weight: Tensor, gradient: Tensor, moments: Mapping[str, Tensor], rates: Rates) -> None:
        """See `Moments`."""
        missing = moments["exp_avg"].shape[1] - weight.shape[1]
        if not missing:
            self._step(weight, gradient, moments, rates)
            return
        wide = nn.functional.pad(weight, (0, missing))
        self._step(wide, nn.functional.pad(gradient, (0, missing)), moments, rates)
        weight.copy_(wide[:, : weight.shape[1]])

    def _step(self, weight: Tensor, gradient: Tensor, moments: Mapping[str, Tensor], rates: Rates) -> None:
        from bitsandbytes.functional import optimizer_update_8bit_blockwise

        signed, unsigned = _maps(weight.device)
        optimizer_update_8bit_blockwise(
            "adam",
            gradient,
            weight,
            moments["exp_avg"],
            moments["exp_avg_sq"],
            *BETAS,
            beta3=0.0,
            alpha=0.0,
            eps=EPSILON,
            step=rates.step,
            lr=rates.learning_rate,
            qmap1=signed,
            qmap2=unsigned,
            absmax1=moments["exp_avg_scale"].view(-1),
            absmax2=moments["exp_avg_sq_scale"].view(-1),
            weight_decay=rates.weight_decay,
        )


def step_together(
    weights: list[Tensor], gradients: list[Tensor], means: list[Tensor], squares: list[Tensor], rates: Rates
) -> None:
    """Step float32 weights with float32 moments, in place: torch's fused AdamW, without a count for each weight."""
    step = torch.full((), float(rates.step), device=weights[0].device)
    torch._fused_adamw_(
        weights,
        gradients,
        means,
        squares,
        [],
        [step] * len(weights),
        beta1=BETAS[0],
        beta2=BETAS[1],
        lr=rates.learning_rate,
        weight_decay=rates.weight_decay,
        eps=EPSILON,
        amsgrad=False,
        maximize=False,
    )


@lru_cache
def _maps(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return what the bytes of signed and of unsigned moments stand for."""
    from bitsandbytes.functional import create_dynamic_map

    return create_dynamic_map(signed=True).to(device), create_dynamic_map(signed=False).to(device)
