"""How much chance is in a step's gradient: `python benchmarks/draw_variance.py`, after `make demo`.

For draws of the flow that know nothing of each other, for opposite pairs (noise e and -e at one time), and for draws
whose times are spread out as a training has them (`touge.training.draws`), prints the noise of the expert's gradient on
eight windows of the demo by its base: the sum of all variances over repeated draws, by the squared norm of their mean.
Draws that know nothing of each other have half of it where they are twice as many.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from touge.alpamayo.inputs.batch import Batch
from touge.alpamayo.inputs.batches import Encoder
from touge.alpamayo.model import AlpamayoR1
from touge.alpamayo.weights import checkpoint
from touge.storage import open_store
from touge.storage.shards import ShardReader
from touge.training.draws import Draws, draw
from touge.training.frames import FrameSource
from touge.training.inputs import Inputs
from touge.training.samples import Samples

REPEATS, WINDOWS = 32, 8
DRAWS = (2, 4, 8)


def main() -> None:
    """Print a line for each number of draws."""
    arguments = _arguments()
    model, tokenizer = checkpoint.load(arguments.base)
    sets = arguments.store.glob("stages/curate-*/executions/*/samples.jsonl")
    rows = max(sets, key=lambda path: path.stat().st_size)  # the base's has the training split alone
    source = FrameSource(ShardReader(open_store(f"file://{arguments.store.resolve()}")))
    inputs = Inputs(Samples.open(rows), source, Encoder(model.config, tokenizer), {})
    batch = inputs.batch(list(range(0, len(inputs.samples.rows), len(inputs.samples.rows) // WINDOWS))[:WINDOWS])
    print(f"{platform.machine()}, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}, {REPEATS} repeats")
    for count in DRAWS:
        found = {name: noise(model, batch, count, way) for name, way in WAYS.items()}
        print(f"  {count} draws: " + "   ".join(f"{name} {value:.2f}" for name, value in found.items()), flush=True)


def noise(model: AlpamayoR1, batch: Batch, count: int, way: Callable[[Batch, int, int], Draws]) -> float:
    """Return the variance of the flow loss's gradient by the expert's weights, by its mean's square."""
    gradients = torch.stack([_gradient(model, batch, way(batch, count, seed)) for seed in range(REPEATS)])
    mean = gradients.mean(dim=0)
    return float((gradients - mean).square().sum() / (REPEATS - 1) / mean.square().sum())


def _gradient(model: AlpamayoR1, batch: Batch, draws: Draws) -> Tensor:
    weights = list(model.expert.parameters())
    loss = model.losses(batch, draws.noise, draws.time).flow.mean()
    return torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, weights)])


def _spread(batch: Batch, count: int, seed: int) -> Draws:
    return draw(batch.ids, seed=seed, step=0, draws=count, shape=(batch.action.shape[1], batch.action.shape[2]))


def _apart(batch: Batch, count: int, seed: int) -> Draws:
    return _joined([_spread(batch, 1, seed * count + index) for index in range(count)])


def _pairs(batch: Batch, count: int, seed: int) -> Draws:
    first = _apart(batch, count // 2, seed)
    return _joined([first, Draws(-first.noise, first.time)])


WAYS: dict[str, Callable[[Batch, int, int], Draws]] = {
    "apart": _apart,
    "opposite pairs": _pairs,
    "times spread": _spread,
}


def _joined(some: list[Draws]) -> Draws:
    return Draws(torch.cat([draws.noise for draws in some], dim=1), torch.cat([draws.time for draws in some], dim=1))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, default=Path(".touge/demo/base"))
    parser.add_argument("--store", type=Path, default=Path(".touge/store"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
