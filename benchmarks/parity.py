"""Whether what saves time and memory trains as the plain model does: `python benchmarks/parity.py`.

Trains a random model at full width on four fixed batches, by each method and path, with several seeds of the flow's
draws, whose spread is what chance makes: plainly; with single tricks of `touge.alpamayo.budget.economy`; as a large and
as a small card choose to. Prints a JSON row for each training: the loss of the four batches, with draws of their own,
before and behind 50 steps; then one for each path: mean, spread and range over its seeds, and the mean difference from
the plain path of the same seed with its standard error. `--size tiny` shows on a CPU that it runs.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import statistics
import time
import traceback
from dataclasses import replace
from typing import Any

import torch

from full_size import FULL, TINY, batches, build
from touge.alpamayo.budget.economy import Economy, Machine, chosen
from touge.alpamayo.budget.machine import has_compiler
from touge.alpamayo.inputs.batch import Batch
from touge.alpamayo.model import AlpamayoR1
from touge.alpamayo.weights import lora
from touge.contract.recipe import Economies, Loss, Train
from touge.training.draws import draw
from touge.training.optimiser import build_optimiser, clip, total_norm
from touge.training.step import Totals, train_step
from training import gradients_of

_LARGE_GIB, _SMALL_GIB = 80, 24
#: Seeds that make a spread.
_FEWEST = 2
#: Tricks by themselves; what is recorded needs batches of whole columns.
_TRICKS = {
    "plain": Economy(),
    "plain again": Economy(),
    "adapters": Economy(rounded_adapters=True),
    "compile": Economy(compiler="inductor"),
    "columns": Economy(columns=64),
    "recompute": Economy(recompute=1),
    "columns and graphs": Economy(columns=64, cuda_graphs=True),
}
_CARDS = {"large card": _LARGE_GIB, "small card": _SMALL_GIB}


def main() -> None:
    """Print all rows."""
    arguments = _arguments()
    for method in arguments.method:
        ends: dict[str, dict[int, float]] = {}
        for path in arguments.path:
            ends[path] = {}
            for seed in range(1, arguments.seeds + 1):
                row = {"method": method, "path": path, "seed": seed} | _row(arguments, method, path, seed)
                print(json.dumps(row), flush=True)
                if "after" in row:
                    ends[path][seed] = row["after"]
        for path, found in ends.items():
            print(json.dumps({"method": method, "path": path} | spread(found, ends.get("plain", {}))), flush=True)


def _row(arguments: argparse.Namespace, method: str, path: str, seed: int) -> dict[str, Any]:
    began = time.perf_counter()
    try:
        row = _trained(arguments, method, _economy(method, path), seed)
    except Exception as error:  # noqa: BLE001 - a failure is a row too
        traceback.print_exc()
        row = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
    gc.collect()
    return row | {"took_s": round(time.perf_counter() - began, 1)}


def spread(ends: dict[int, float], plain: dict[int, float]) -> dict[str, Any]:
    """Return what the losses of one path are like, by seed, and how they differ from the plain path's."""
    if len(ends) < _FEWEST:
        return {"seeds": len(ends)}
    given = list(ends.values())
    pairs = [ends[seed] - plain[seed] for seed in ends.keys() & plain.keys()]
    apart = {}
    if len(pairs) >= _FEWEST:
        error = statistics.stdev(pairs) / math.sqrt(len(pairs))
        apart = {"from_plain": round(statistics.mean(pairs), 4), "standard_error": round(error, 4)}
    return {
        "seeds": len(ends),
        "mean": round(statistics.mean(given), 4),
        "deviation": round(statistics.stdev(given), 4),
        "range": [min(given), max(given)],
    } | apart


def _economy(method: str, path: str) -> Economy:
    economy = _TRICKS[path] if path in _TRICKS else _chosen(method, _CARDS[path])
    return economy if torch.cuda.is_available() else replace(economy, cuda_graphs=False, compiler="")


def _chosen(method: str, memory_gib: float) -> Economy:
    return chosen(Economies(), method, Machine(memory_gib, has_compiler()))


def _trained(arguments: argparse.Namespace, method: str, economy: Economy, seed: int) -> dict[str, Any]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sizes = TINY if arguments.size == "tiny" else replace(FULL, layers=arguments.layers)
    settings = Train.model_validate({"method": method, "learning_rate": arguments.learning_rate, "gradient_clip": 1.0})
    model = build(sizes, device, torch.bfloat16, four_bit=method == "qlora")
    if method != "full":
        lora.inject(model, lora.Adapter(rank=16, alpha=32))
    weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
    model.economise(economy)
    gradients, optimiser = gradients_of(model, weights, economy, settings), build_optimiser(weights, settings)
    given = [batch.to(device) for batch in batches(sizes, model, cameras=1, rows=2, count=4)]
    before = _loss(model, given)
    for step in range(arguments.steps):
        batch = given[step % len(given)]
        draws = draw(batch.ids, seed=seed, step=step, draws=1, shape=model.config.action_shape).to(device)
        gradients.add(batch, draws, Totals.of(batch), last=True)
        clip(gradients.tensors(), 1.0, total_norm(gradients.tensors(), lambda whole: whole))
        optimiser.step()
        gradients.clear()
    return {"before": before, "after": _loss(model, given)}


@torch.no_grad()
def _loss(model: AlpamayoR1, given: list[Batch]) -> float:
    shape = model.config.action_shape
    drawn = [
        draw(batch.ids, seed=0, step=n, draws=8, shape=shape).to(batch.grid.device) for n, batch in enumerate(given)
    ]
    found = [train_step(model.losses, *pair, Loss())[0] for pair in zip(given, drawn, strict=True)]
    return round(statistics.mean(float(loss) for loss in found), 5)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", nargs="*", default=["lora", "qlora", "full"])
    parser.add_argument("--path", nargs="*", choices=[*_TRICKS, *_CARDS], default=["plain", *_CARDS])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    return parser.parse_args()


if __name__ == "__main__":
    main()
