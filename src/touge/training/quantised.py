"""What 4 bits cost the base: its losses and where it drives against the unquantised base, before training begins.

The latter is computed layer by layer with the checkpoint's own weights, so that no device ever holds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from touge.alpamayo.inputs.batch import Batch
from touge.alpamayo.model import AlpamayoR1
from touge.alpamayo.rollout import Sampling, drive
from touge.alpamayo.weights.quantisation import undone
from touge.alpamayo.weights.shards import Shards
from touge.training.draws import draw
from touge.training.inputs import Inputs

#: How many samples are looked at.
WINDOWS = 4
#: Of a pass: two windows of four cameras, or all of one. Every pass reads all weights, those of the expert ten times.
_TOKENS = 8000
_DRAWS = 8


@dataclass(frozen=True, slots=True)
class Score:
    """How well a model knows samples.

    Attributes:
        cross_entropy: Of the labels, nats a token.
        flow: Mean squared velocity error.
        ade: Mean distance of the driven trajectory from the true one over the whole horizon, metres.
    """

    cross_entropy: float
    flow: float
    ade: float


def compare(
    model: AlpamayoR1, weights: Shards, inputs: Inputs, indices: Sequence[int], *, seed: int, device: torch.device
) -> dict[str, Any]:
    """Return the scores of the quantised and of the unquantised base on the same samples under the same draws.

    Args:
        model: Quantised, on the device, without adapters, in evaluation mode.
        weights: The checkpoint that it was loaded from.
        inputs: Of the training.
        indices: Samples.
        seed: Of draws and starting noise.
        device: Of the model.

    Returns:
        `base`, `nf4`: a `Score` each; `apart`: mean distance between what the two drive, metres; `windows`.
    """
    batches = [inputs.batch(group).to(device) for group in _groups(inputs, indices)]
    nf4, driven = _score(model, batches, seed)
    with undone(model, weights.read):
        base, ideal = _score(model, batches, seed)
    apart = _distance(driven, ideal)
    return {"windows": len(indices), "base": asdict(base), "nf4": asdict(nf4), "apart": apart}


def _groups(inputs: Inputs, indices: Sequence[int]) -> list[list[int]]:
    """Return the samples in groups of at most `_TOKENS` tokens."""
    groups: list[list[int]] = [[]]
    tokens = 0
    for index in indices:
        length = len(inputs.example(index).input_ids)
        if groups[-1] and tokens + length > _TOKENS:
            groups.append([])
            tokens = 0
        groups[-1].append(index)
        tokens += length
    return groups


@torch.no_grad()
def _score(model: AlpamayoR1, batches: Sequence[Batch], seed: int) -> tuple[Score, Tensor]:
    """Return the score and the driven trajectories [windows, T, 3]."""
    nll, flow, driven, true = [], [], [], []
    for batch in batches:
        draws = draw(batch.ids, seed=seed, step=0, draws=_DRAWS, shape=model.config.action_shape).to(batch.grid.device)
        losses = model.losses(batch, draws.noise, draws.time)
        nll.append(losses.nll)
        flow.append(losses.flow)
        driven += [drawn.trajectory for drawn in drive(model, batch, Sampling(rollouts=1, seed=seed))]
        true.append(model.action_space.to_trajectory(batch.action, batch.history[..., :2], batch.history[..., 3]))
    found = torch.stack(driven)
    score = Score(float(torch.cat(nll).mean()), float(torch.cat(flow).mean()), _distance(found, torch.cat(true)))
    return score, found


def _distance(first: Tensor, second: Tensor) -> float:
    """Return the mean distance of trajectories [..., T, 3], metres."""
    return float((first[..., :2] - second[..., :2]).norm(dim=-1).mean())
