"""One small layer, trained a few steps: by one process, or by ranks that split it and each write their part.

`python split_layer.py <folder> <type of weights> <first step> <steps>` is a rank; the launcher starts several.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import torch
from tiny_training import settings
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard

from touge.training.optimiser import clip, total_norm
from touge.training.ranks import Ranks
from touge.training.sharding import largest
from touge.training.state import State, restore_state, save_state

TRAIN = settings(method="full", learning_rate=1e-2, averaging=0.9)


def layer(dtype: torch.dtype) -> nn.Linear:
    """Return a layer of two rows: a third rank holds nothing of it."""
    torch.manual_seed(0)
    return nn.Linear(300, 2, dtype=dtype)


def advance(model: nn.Module, state: State, steps: int, add: Callable[[Tensor], Tensor]) -> list[float]:
    """Do steps on inputs that follow from their numbers; return the norms of their gradients."""
    norms = []
    for _ in range(steps):
        inputs = torch.randn(4, 300, generator=torch.Generator().manual_seed(state.step))
        some = next(model.parameters())
        model(inputs.to(some.device, some.dtype)).float().square().sum().backward()
        gradients = [weight.grad for weight in state.weights.values()]
        assert largest(gradients).min() > 0
        norm = total_norm(gradients, add)
        clip(gradients, 1.0, norm)
        state.optimiser.step()
        state.optimiser.zero_grad()
        state.average.update(state.weights)
        state.step += 1
        norms.append(float(norm))
    return norms


def _rank(folder: Path, dtype: torch.dtype, first: int, steps: int) -> None:
    ranks = Ranks()
    model = layer(dtype).to(ranks.device)
    fully_shard(model)
    state = State.begin(dict(model.named_parameters()), TRAIN)
    if first:
        restore_state(state, folder / f"step-{first}", first)
    norms = advance(model, state, steps, ranks.add)
    part = folder / f"part-{ranks.index}"
    part.mkdir(exist_ok=True)
    save_state(state, part, leads=ranks.leads)
    (part / "norms.txt").write_text(" ".join(map(str, norms)))
    ranks.close()


if __name__ == "__main__":
    _rank(Path(sys.argv[1]), getattr(torch, sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
