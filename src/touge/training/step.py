"""One training step as a pure function: batch and draws in, loss and its parts out.

Knows neither optimiser nor processes; the loop scales by what the whole step holds (`Totals`), so that
micro-batches and ranks add up to exactly the loss of one large batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from touge.alpamayo.inputs.batch import Batch
from touge.alpamayo.model import Losses
from touge.contract.recipe import Loss
from touge.training.draws import Draws

#: (batch, noise, time) -> losses; `AlpamayoR1.losses`, or that behind a data-parallel wrapper.
Model = Callable[[Batch, Tensor, Tensor], Losses]


@dataclass(frozen=True, slots=True)
class Totals:
    """What one optimiser step averages over: label tokens and samples, of all micro-batches and ranks."""

    labels: int
    samples: int

    @classmethod
    def of(cls, batch: Batch) -> Totals:
        """Return the totals of a step that is this batch alone."""
        return cls(int(batch.labels.sum()), len(batch.ids))


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """Sums over a batch, detached; they add up over micro-batches and ranks.

    Attributes:
        sums: [5] = loss (already divided by the totals), reasoning nll, trajectory-token nll, flow loss, reasoning
            labels.
    """

    sums: Tensor


def train_step(
    model: Model, batch: Batch, draws: Draws, weights: Loss, totals: Totals | None = None
) -> tuple[Tensor, StepMetrics]:
    """Compute the loss of design section 7: sum of w_c nll over the number of all labels, plus the mean flow loss.

    Args:
        model: Gives the ingredients.
        batch: B samples.
        draws: D starting points of the flow a sample.
        weights: Of reasoning tokens, all other label tokens, and the flow.
        totals: What to divide by; this batch alone when None.

    Returns:
        The loss (scalar, with gradient) and what it is made of.
    """
    totals = totals or Totals.of(batch)
    losses = model(seen(batch, weights), draws.noise, draws.time)
    return weighted(losses, weights, totals.labels, totals.samples)


def seen(batch: Batch, weights: Loss) -> Batch:
    """Return what has to be read of a batch: no future whose tokens are not learnt."""
    return batch if weights.trajectory_tokens else batch.without_future()


def weighted(
    losses: Losses, weights: Loss, labels: float | Tensor, samples: float | Tensor
) -> tuple[Tensor, StepMetrics]:
    """Return the loss of these parts and what it is made of; `labels` and `samples` are those of `Totals`."""
    reasoning = (losses.nll * losses.reasoning).sum()
    tokens = (losses.nll * ~losses.reasoning).sum()
    flow = losses.flow.mean(dim=-1).sum()
    words = weights.reasoning * reasoning + weights.trajectory_tokens * tokens
    loss = words / labels + weights.trajectory * flow / samples
    count = losses.reasoning.sum().to(loss.dtype)
    return loss, StepMetrics(torch.stack([loss, reasoning, tokens, flow, count]).detach())
