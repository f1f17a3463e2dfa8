"""Speed and memory of a training step at full size, on one GPU, with random weights: `python benchmarks/training.py`.

Prints one JSON row: samples a second, GiB, TFLOP/s by the formula of `operations.py`, and their share of what a bf16
product of 8192^3 reaches in the same process. `--baseline` times what the reference does (`plain.py`) before, in the
same process; `--matrix FILE` runs all rows of the table, each in a process and a time limit of its own, and appends
them to a file as they end: a row that fails says how, and the others go on.

`--with` and `--without` take compile, recompute, columns, adapters, host (words and vision tower in the host's memory)
and graphs (CUDA graphs): which of them a method and a cap start from is what the training stage chooses
(`touge.alpamayo.budget.economy`).
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

import plain
from full_size import FULL, TINY, Sizes, batches, build
from operations import operations
from touge.alpamayo.budget.economy import Economy, Machine, chosen
from touge.alpamayo.budget.machine import has_compiler, machine_of
from touge.alpamayo.inputs.batch import Batch
from touge.alpamayo.model import AlpamayoR1
from touge.alpamayo.rollout import Sampling, rollout
from touge.alpamayo.weights import lora
from touge.contract.recipe import Economies, Train
from touge.training.draws import Draws, draw
from touge.training.gradients import Computed, CudaTape, Gradients, Recorded
from touge.training.optimiser import build_optimiser, clip, total_norm
from touge.training.ranks import LossModule, Ranks
from touge.training.step import Totals

GIB = 1 << 30
_BATCHES = 4
_KERNELS = {
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}
#: What a run without a GPU is like.
_LARGE_CARD_GIB = 80
#: What CUDA takes of a card besides what torch's allocator is capped to.
_CONTEXT_GIB = 0.75
_TRICKS: dict[str, tuple[str, bool | int]] = {
    "compile": ("compile", True),
    "recompute": ("recompute", 1),
    "columns": ("columns", 64),
    "adapters": ("rounded_adapters", True),
    "host": ("on_host", True),
    "graphs": ("cuda_graphs", True),
}
_ROW_SECONDS, _SHORTEST_S = 180, 25

#: The table: options of each row, and the seconds it may take.
MATRIX = (
    ("--method lora --cameras 4 --baseline", 150),
    ("--method lora --cameras 1 --batch 4", 80),
    ("--method lora --cameras 4 --cap-gib 22.5", 80),
    ("--method lora --cameras 1 --batch 1 --baseline", 80),
    ("--method qlora --cameras 4 --cap-gib 11", 90),
    ("--method full --cameras 4 --cap-gib 76", 90),
    ("--method lora --cameras 4 --cap-gib 22.5 --flow-draws 8", 80),
    ("--method qlora --cameras 1 --cap-gib 11 --flow-draws 8", 80),
    ("--inference --cameras 4 --cap-gib 22.5", 90),
    ("--inference --cameras 4", 90),
)


def main() -> None:
    """Print a row, or all of them."""
    arguments = _parser().parse_args()
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")  # as every stage does
    if arguments.matrix:
        run_matrix(arguments.matrix, [(row, _ROW_SECONDS) for row in arguments.row] or MATRIX, arguments.seconds)
        return
    try:
        row = measure_rollouts(arguments) if arguments.inference else measure_training(arguments)
    except Exception as error:  # noqa: BLE001 - a failure is a row too
        traceback.print_exc()
        row = _facts(arguments) | {"error": f"{type(error).__name__}: {str(error).splitlines()[0][:300]}"} | _memory()
    print(json.dumps(row), flush=True)


def run_matrix(path: Path, rows: Sequence[tuple[str, int]], seconds: int) -> None:
    """Append a row for each of these options and limits, whatever becomes of it, as long as there is time."""
    end = time.perf_counter() + seconds
    for options, limit in rows:
        began = time.perf_counter()
        row = {"options": options} | _run_apart(options.split(), min(limit, round(end - began)))
        row["took_s"] = round(time.perf_counter() - began, 1)
        with path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)


def _run_apart(options: list[str], limit: int) -> dict[str, Any]:
    if limit < _SHORTEST_S:
        return {"error": "not run: no time was left"}
    try:
        done = subprocess.run(
            [sys.executable, __file__, *options], capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired as error:
        return {"error": f"took more than {limit} s", "said": _text(error.stderr)[-2000:]}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        return {"error": f"exit code {done.returncode}", "said": done.stderr[-2000:]}
    return dict(json.loads(lines[-1])) | ({"said": done.stderr[-2000:]} if "error" in lines[-1] else {})


def _text(output: str | bytes | None) -> str:
    """Return what a process said before its time was over, which comes as bytes whatever was asked for."""
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""


def measure_training(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the row of a training."""
    device, sizes = _device(), _sizes(arguments)
    row = _facts(arguments) | {"matmul_tflops": float(f"{matmul_rate(device) / 1e12:.4g}")}
    if arguments.baseline:
        row["baseline"] = _in_a_room_of_its_own(lambda: _time_baseline(arguments, sizes, device))
    _cap(arguments.cap_gib)
    row |= _time_ours(arguments, sizes, device, row["matmul_tflops"])
    if arguments.baseline:
        row["ratio"] = round(row["samples_per_second"] / row["baseline"]["samples_per_second"], 2)
    return row


def _time_ours(arguments: argparse.Namespace, sizes: Sizes, device: torch.device, rate_tflops: float) -> dict[str, Any]:
    economy = economy_of(arguments)
    model = build(sizes, device, _dtype(device), four_bit=arguments.method == "qlora")
    weights = trained(model, arguments.method)
    model.economise(economy)
    optimiser = build_optimiser(weights, _settings(arguments))
    gradients = gradients_of(model, weights, economy, _settings(arguments))
    given = batches(sizes, model, cameras=arguments.cameras, rows=arguments.batch, count=_BATCHES)

    def step(batch: Batch, draws: Draws) -> float:
        with _kernels(arguments.kernels):
            sums = gradients.add(batch.to(device), draws.to(device), Totals.of(batch), last=True)
        loss = _update(gradients.tensors(), optimiser, sums)
        gradients.clear()
        return loss

    timed = _timed(arguments, model, given, step)
    count = operations(
        sizes,
        [int(n) for batch in given for n in batch.attention_mask.sum(dim=1)],
        sum(int(batch.labels.sum()) for batch in given),
        sum(len(batch.pixels) for batch in given if batch.pixels is not None),
        arguments.flow_draws,
        full=arguments.method == "full",
        recompute=economy.recompute,
    )
    steps_a_second = timed["samples_per_second"] / arguments.batch
    needed, done = (value / len(given) * steps_a_second / 1e12 for value in (count.needed, count.done))
    return timed | {
        "economy": asdict(economy),
        "trained_parameters": sum(p.numel() for p in weights.values()),
        "tflop_a_sample": round(count.needed / len(given) / arguments.batch / 1e12, 3),
        "tflops": round(needed, 1),
        "tflops_done": round(done, 1),
        "share_of_matmul": round(needed / rate_tflops, 3),
    }


def _time_baseline(arguments: argparse.Namespace, sizes: Sizes, device: torch.device) -> dict[str, Any]:
    model = build(sizes, device, _dtype(device))
    plain.use_plain_attention(model)
    weights = trained(model, arguments.method)
    optimiser = build_optimiser(weights, _settings(arguments))
    given = batches(sizes, model, cameras=arguments.cameras, rows=1, count=_BATCHES)

    def step(batch: Batch, draws: Draws) -> float:
        moved, drawn = batch.to(device), draws.to(device)
        loss = plain.loss(model, moved, drawn.noise[:, :1], drawn.time[:, :1])
        loss.backward()
        found = _update([w.grad for w in weights.values() if w.grad is not None], optimiser, loss.detach()[None])
        optimiser.zero_grad(set_to_none=True)
        return found

    one = argparse.Namespace(**vars(arguments) | {"batch": 1, "profile": None, "steps": min(arguments.steps, 6)})
    return _timed(one, model, given, step)


def _update(gradients: list[torch.Tensor], optimiser: torch.optim.Optimizer, sums: torch.Tensor) -> float:
    """Do what the loop does behind a backward pass; return the loss."""
    norm = total_norm(gradients, lambda whole: whole)
    loss = float(sums.tolist()[0])
    clip(gradients, 1.0, norm)
    optimiser.step()
    return loss


def gradients_of(model: AlpamayoR1, weights: dict[str, nn.Parameter], economy: Economy, settings: Train) -> Gradients:
    """Return what adds up gradients as the training stage would choose, on one device."""
    ranks = Ranks()
    if economy.cuda_graphs:
        return Recorded(model, weights.values(), settings, ranks, CudaTape())
    return Computed(LossModule(model, settings.insulation.reach), weights.values(), settings, ranks)


def _timed(
    arguments: argparse.Namespace, model: AlpamayoR1, given: list[Batch], step: Callable[[Batch, Draws], float]
) -> dict[str, Any]:
    """Warm up twice over every batch, so that all shapes are recorded, then time steps; return what a row says."""
    shape = model.config.action_shape
    drawn = [draw(batch.ids, seed=0, step=n, draws=arguments.flow_draws, shape=shape) for n, batch in enumerate(given)]
    turns = itertools.cycle(zip(given, drawn, strict=True))
    began = time.perf_counter()
    losses = [step(*next(turns)) for _ in range(2 * len(given))]
    _synchronise()
    warm = time.perf_counter() - began
    if arguments.profile:
        _profile(arguments.profile, lambda: step(*next(turns)))
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    taken = []
    for _ in range(arguments.steps):
        began = time.perf_counter()
        losses.append(step(*next(turns)))
        _synchronise()
        taken.append(time.perf_counter() - began)
    return {
        "tokens": round(statistics.mean(float(batch.attention_mask.sum() / len(batch.ids)) for batch in given)),
        "samples_per_second": round(arguments.batch * len(taken) / sum(taken), 3),
        "step_ms": round(1e3 * statistics.median(taken), 1),
        "slowest_ms": round(1e3 * max(taken), 1),
        "warm_up_s": round(warm, 1),
        "loss": [round(losses[0], 4), round(losses[-1], 4)],
        **_memory(),
    }


def measure_rollouts(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the row of six rollouts of one window, ours and one after the other."""
    device, sizes = _device(), _sizes(arguments)
    model = build(sizes, device, _dtype(device)).eval()
    batch = batches(sizes, model, cameras=arguments.cameras, rows=1, count=1, answered=False)[0].to(device)
    words = 24
    sampling = Sampling(rollouts=6, max_tokens=words)
    economy = economy_of(arguments)
    model.requires_grad_(requires_grad=False)
    model.economise(replace(economy, recompute=0))

    def ours() -> None:
        with _kernels(arguments.kernels):
            rollout(model, _Mute(), batch, sampling)  # type: ignore[arg-type]

    fast = _seconds(ours)
    row = _facts(arguments) | {"economy": asdict(economy), "seconds": round(fast, 3), **_memory()}
    del model
    _empty()
    model = build(sizes, device, _dtype(device)).eval()
    plain.use_plain_attention(model)
    slow = _seconds(lambda: plain.rollouts(model, batch, sampling.rollouts, words))
    return row | {"baseline": {"seconds": round(slow, 3)}, "ratio": round(slow / fast, 2), "words": words}


class _Mute:
    def decode(self, *_: Any, **__: Any) -> str:
        return ""


def economy_of(arguments: argparse.Namespace) -> Economy:
    """Return what a training by this method on a card of this size chooses, changed by `--with` and `--without`."""
    wishes = {field: value for name, (field, value) in _TRICKS.items() if name in arguments.also_with}
    wishes |= {field: type(value)(0) for name, (field, value) in _TRICKS.items() if name in arguments.without}
    capped = arguments.cap_gib and arguments.cap_gib + _CONTEXT_GIB
    memory = capped or machine_of(_device()).memory_gib or _LARGE_CARD_GIB
    economy = chosen(Economies.model_validate(wishes), arguments.method, Machine(memory, has_compiler()))
    return replace(
        economy,
        recompute=arguments.recompute if economy.recompute else 0,
        columns=arguments.columns if economy.columns else 0,
        cuda_graphs=economy.cuda_graphs and torch.cuda.is_available(),
    )


def trained(model: AlpamayoR1, method: str) -> dict[str, nn.Parameter]:
    """Adapt or free the weights of a model; return those that are trained."""
    if method == "full":
        model.requires_grad_(True)
    else:
        lora.inject(model, lora.Adapter(rank=16, alpha=32))
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def matmul_rate(device: torch.device) -> float:
    """Return the operations a second of a bf16 product of 8192^3."""
    size, repeats = (8192, 20) if device.type == "cuda" else (256, 2)
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = _seconds(lambda: [a @ b for _ in range(repeats)])
    return 2 * size**3 * repeats / seconds


def _seconds(work: Callable[[], Any]) -> float:
    """Return the shortest of three durations, behind a warm-up."""
    taken = []
    for _ in range(4):
        began = time.perf_counter()
        work()
        _synchronise()
        taken.append(time.perf_counter() - began)
    return min(taken[1:])


def _profile(path: Path, work: Callable[[], Any]) -> None:
    """Write the kernels of two steps, by the time they take, and the host's side."""
    from torch.profiler import ProfilerActivity, profile

    cuda = [ProfilerActivity.CUDA] if torch.cuda.is_available() else []
    with profile(activities=[ProfilerActivity.CPU, *cuda]) as profiler:
        work()
        work()
        _synchronise()
    averages = profiler.key_averages()
    keys = ("self_cuda_time_total", "self_cpu_time_total") if cuda else ("self_cpu_time_total",)
    tables = [averages.table(sort_by=key, row_limit=45, max_name_column_width=90) for key in keys]
    path.write_text("\n".join(tables), encoding="utf-8")


@contextlib.contextmanager
def _kernels(names: list[str]) -> Iterator[None]:
    """Prefer these kernels of attention, in this order."""
    if not names:
        yield
        return
    with sdpa_kernel([_KERNELS[name] for name in names], set_priority=True):
        yield


def _in_a_room_of_its_own(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what work says, a failure as well, and leave the device's memory as it was."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - a failure of the baseline is part of the row
        return {"error": f"{type(error).__name__}: {str(error)[:300]}", "samples_per_second": float("nan")}
    finally:
        _empty()


def _empty() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _cap(gib: float | None) -> None:
    if gib and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(gib * GIB / torch.cuda.get_device_properties(0).total_memory)


def _memory() -> dict[str, float]:
    if not torch.cuda.is_available():
        return {}
    return {
        "peak_allocated_gib": round(torch.cuda.max_memory_allocated() / GIB, 2),
        "peak_reserved_gib": round(torch.cuda.max_memory_reserved() / GIB, 2),
    }


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _device() -> torch.device:
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def _dtype(device: torch.device) -> torch.dtype:
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def _sizes(arguments: argparse.Namespace) -> Sizes:
    chosen = FULL if arguments.size == "full" else TINY
    return replace(chosen, layers=arguments.layers) if arguments.layers else chosen


def _settings(arguments: argparse.Namespace) -> Train:
    return Train.model_validate({"method": arguments.method, "learning_rate": 1e-5})


def _facts(arguments: argparse.Namespace) -> dict[str, Any]:
    names = ("method", "cameras", "batch", "flow_draws", "cap_gib", "size", "layers", "kernels")
    card = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu"
    return {name: getattr(arguments, name) for name in names} | {"device": card, "torch": torch.__version__}


def _listed(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", choices=("lora", "qlora", "full"), default="lora")
    parser.add_argument("--cameras", type=int, choices=(1, 4), default=4)
    parser.add_argument("--batch", type=int, default=1, help="samples a step")
    parser.add_argument("--flow-draws", type=int, default=1)
    parser.add_argument("--cap-gib", type=float, help="no more of the GPU's memory than this")
    parser.add_argument("--baseline", action="store_true", help="time the plain step before, at batch 1")
    parser.add_argument("--inference", action="store_true", help="six rollouts of a window instead of training")
    parser.add_argument("--layers", type=int, help="fewer layers of language model and expert")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    parser.add_argument("--with", dest="also_with", type=_listed, default=[], help="tricks besides the usual")
    parser.add_argument("--without", type=_listed, default=[], help="tricks less than the usual")
    parser.add_argument("--recompute", type=int, default=1, help="of every so many layers one is computed again")
    parser.add_argument("--columns", type=int, default=64, help="lengths are multiples of it")
    parser.add_argument("--kernels", type=_listed, default=[], help="of attention, by preference: cudnn,flash,…")
    parser.add_argument("--profile", type=Path, help="write the kernels of two steps, by time, to this file")
    parser.add_argument("--matrix", type=Path, help="run the whole table and append its rows to this file")
    parser.add_argument("--row", action="append", default=[], help="options of a row to run in its place; repeatable")
    parser.add_argument("--seconds", type=int, default=470, help="all rows together")
    return parser


if __name__ == "__main__":
    main()
