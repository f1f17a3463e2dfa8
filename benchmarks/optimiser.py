"""Optimisers for full training side by side on full-size shapes: `python benchmarks/optimiser.py --layers 4`.

Each candidate runs in a process of its own and prints one JSON row: parameters; GiB of weights, of moments, and of what
a step needs besides (peak allocated less what lies there behind it); seconds of the first step (some compile) and the
median of the others; `arrives`: the share of 1e-5 a step that weights of N(0, 0.02) took on average. A candidate that
fails has `error` instead, and the next one runs. torchao is no dependency; its rows need it installed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from touge.contract.recipe import Train
from touge.training.optimiser import build_optimiser

RATE = 1e-5
_GIB = 1 << 30
#: Numbers of each weight whose movement is looked at.
_WATCHED = 2_000
#: Rows and columns of the linears of a decoder layer of language model and expert, and its norms.
LANGUAGE = ((4096, 4096), (1024, 4096), (1024, 4096), (4096, 4096), *((12288, 4096),) * 2, (4096, 12288))
EXPERT = ((2048, 2048), (1024, 2048), (1024, 2048), (2048, 2048), *((8256, 2048),) * 2, (2048, 8256))
NORMS = ((4096,), (4096,), (128,), (128,), (2048,), (2048,), (128,), (128,))
TABLE = (155_697, 4096)
TINY = ((64, 96), (96,), (30, 700))

Parameters = dict[str, nn.Parameter]
Step = Callable[[], Any]


def _ours(states: str) -> Callable[[Parameters], torch.optim.Optimizer]:
    settings = Train.model_validate({"method": "full", "learning_rate": RATE, "optimiser": {"states": states}})
    return lambda weights: build_optimiser(weights, settings)


def _torchs(weights: Parameters) -> torch.optim.Optimizer:
    return torch.optim.AdamW(weights.values(), RATE, (0.9, 0.95), weight_decay=0.0, fused=True)


def _bitsandbytes(weights: Parameters) -> torch.optim.Optimizer:
    from bitsandbytes.optim import AdamW8bit

    return AdamW8bit(list(weights.values()), RATE, (0.9, 0.95), weight_decay=0.0)


def _torchao(*, by_chance: bool) -> Callable[[Parameters], torch.optim.Optimizer]:
    def build(weights: Parameters) -> torch.optim.Optimizer:
        from torchao.optim import AdamW8bit  # type: ignore[import-not-found]

        return AdamW8bit(list(weights.values()), RATE, (0.9, 0.95), weight_decay=0.0, bf16_stochastic_round=by_chance)

    return build


CANDIDATES: dict[str, Callable[[Parameters], torch.optim.Optimizer]] = {
    "torch, bfloat16 moments, to nearest": _torchs,
    "touge, float32 moments, by chance": _ours("float32"),
    "touge, bfloat16 moments, by chance": _ours("bfloat16"),
    "touge, 8-bit moments, by chance": _ours("8bit"),
    "bitsandbytes, 8-bit moments, to nearest": _bitsandbytes,
    "torchao, 8-bit moments, to nearest": _torchao(by_chance=False),
    "torchao, 8-bit moments, by chance": _torchao(by_chance=True),
}


def main() -> None:
    """Print a row for each candidate."""
    arguments = _arguments()
    if arguments.one:
        print(json.dumps(measured(arguments.one, arguments)), flush=True)
        return
    for name in CANDIDATES:
        print(json.dumps({"candidate": name} | _apart(name)), flush=True)


def measured(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the row of one candidate."""
    device = torch.device(arguments.device)
    weights = _weights(arguments, device)
    optimiser = CANDIDATES[name](weights)
    before = [weight.detach().flatten()[:_WATCHED].float() for weight in weights.values()]
    for weight in weights.values():
        weight.grad = torch.ones_like(weight)
    seconds, needed = [], 0.0
    for _ in range(arguments.steps):  # the first may make moments, so what the last one needs counts
        peak, took = _step(optimiser.step, device)
        seconds.append(took)
        needed = peak - _allocated(device)
    moved = [b - w.detach().flatten()[:_WATCHED].float() for b, w in zip(before, weights.values(), strict=True)]
    size = sum(weight.numel() for weight in weights.values())
    lying = size * 4  # weights and gradients of bfloat16
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "torch": torch.__version__,
        "parameters": size,
        "weights_gib": round(size * 2 / _GIB, 3),
        "moments_gib": round((_allocated(device) - lying) / _GIB, 3) if device.type == "cuda" else None,
        "step_needs_gib": round(needed / _GIB, 3) if device.type == "cuda" else None,
        "first_step_s": round(seconds[0], 4),
        "step_s": round(statistics.median(seconds[1:]), 4),
        "arrives": round(float(torch.cat(moved).mean()) / (arguments.steps * RATE), 4),
    }


def _step(step: Step, device: torch.device) -> tuple[float, float]:
    """Return the peak of allocated bytes in a step, and its seconds."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        torch.cuda.synchronize(device)
    began = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    took = time.perf_counter() - began
    return _peak(device), took


def _weights(arguments: argparse.Namespace, device: torch.device) -> Parameters:
    torch.manual_seed(0)
    shapes: Iterator[tuple[int, ...]]
    if arguments.tiny:
        shapes = iter(TINY)
    else:
        shapes = iter([*[TABLE] * arguments.tables, *(LANGUAGE + EXPERT + NORMS) * arguments.layers])
    made = (torch.randn(shape, device=device, dtype=torch.bfloat16).mul_(0.02) for shape in shapes)
    return {f"expert.{number}": nn.Parameter(tensor) for number, tensor in enumerate(made)}


def _allocated(device: torch.device) -> float:
    return float(torch.cuda.memory_allocated(device)) if device.type == "cuda" else 0.0


def _peak(device: torch.device) -> float:
    return float(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else 0.0


def _apart(name: str) -> dict[str, Any]:
    """Return the row that a process of its own prints, or how it failed."""
    command = [sys.executable, __file__, *sys.argv[1:], "--one", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    except subprocess.TimeoutExpired:
        return {"error": "took longer than 900 s"}
    if done.returncode:
        told = done.stderr.strip().splitlines()
        return {"error": told[-1] if told else f"ended with {done.returncode}"}
    row: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return row


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--layers", type=int, default=4, help="of language model and expert; the release has 36")
    parser.add_argument("--tables", type=int, default=1, help="embeddings of 155,697 x 4,096; the release has 2")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--tiny", action="store_true", help="small shapes instead, to see that it runs")
    parser.add_argument("--one", choices=CANDIDATES, help="this candidate in this process")
    return parser.parse_args()


if __name__ == "__main__":
    main()
