"""Full training split over GPUs, and its checkpoints, at full width: `python benchmarks/sharded.py --gpus 2`.

Trains a random model on the same few samples by all GPUs, then goes on by one, then by all again, each from the
checkpoint of the one before, and once by one GPU throughout. Prints one JSON row for each: losses, seconds of a step,
peak GiB of the leading GPU, seconds and GiB of its save, seconds of its restore. The losses of the first three rows
together are those of the last one. A phase that fails has `error`; `--tiny` shows on a CPU that it runs.

`--timing` neither saves nor resumes: all GPUs, then one, each as the training stage runs it
(`touge.alpamayo.budget.economy`). `--try` changes how they are split: compile, prefetch, reduce (gradients added up in
bfloat16). `--profile` adds what the leading GPU did in two steps more (`lanes.py`) and what the optimiser's step takes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.distributed.fsdp import MixedPrecisionPolicy
from torch.profiler import ProfilerActivity, profile

from full_size import FULL, TINY, batches, build
from lanes import summary
from touge.alpamayo.budget.economy import chosen
from touge.alpamayo.budget.machine import machine_of
from touge.alpamayo.model import AlpamayoR1
from touge.contract.errors import TougeError
from touge.contract.recipe import Economies, Train
from touge.training import sharding
from touge.training.draws import draw
from touge.training.feed import StepInput
from touge.training.gradients import Computed
from touge.training.launch import Layout, launch
from touge.training.loop import Loop, Outside
from touge.training.ranks import Ranks
from touge.training.state import State, restore_state, save_state
from touge.training.step import Totals
from touge.training.weights import choose_weights

_GIB = 1 << 30
#: The first steps of a process look at gradients besides.
_GUARDED = 2
_PROFILED = 2
#: What a profile calls kernels and is none.
_NOTES = re.compile(r"FSDP::|nccl:|^##|^record_|^ProfilerStep|^Optimizer")


def main() -> None:
    """Print a row for each phase."""
    arguments = _arguments()
    if arguments.phase:
        _rank(arguments, *arguments.phase)
        return
    third = arguments.steps
    phases = [
        ("split", arguments.gpus, 0, third),
        ("alone", 1, third, 2 * third),
        ("split again", arguments.gpus, 2 * third, 3 * third),
        ("alone throughout", 1, 0, 3 * third),
    ]
    if arguments.timing:
        phases = [(name, gpus, 0, third) for name, gpus, *_ in phases[:2] if gpus in arguments.of]
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        for name, gpus, first, end in phases:
            row = {"phase": name, "gpus": gpus, "layers": arguments.layers, "draws": arguments.draws}
            print(json.dumps(row | _phase(Path(folder), gpus, first, end)), flush=True)


def _phase(folder: Path, gpus: int, first: int, end: int) -> dict[str, Any]:
    """Run a phase in processes of its own; return what the leading one measured, or how it failed."""
    records = folder / "records"
    shutil.rmtree(records, ignore_errors=True)
    records.mkdir()
    command = [sys.executable, __file__, *sys.argv[1:], "--phase", str(folder), str(gpus), str(first), str(end)]
    try:
        code, message = launch(command, Layout(gpus), records)
    except TougeError as error:
        return {"error": str(error)}
    if code:
        return {"error": message or f"ended with {code}"}
    row: dict[str, Any] = json.loads((folder / "row.json").read_text())
    return row


def _rank(arguments: argparse.Namespace, place: str, gpus: str, first: str, end: str) -> None:
    folder, ranks = Path(place), Ranks()
    train = Train.model_validate(
        {"method": "full", "learning_rate": 1e-5, "warmup_steps": 0, "steps": 10**6, "flow_draws": arguments.draws}
        | {"gradient_accumulation": arguments.gpus // int(gpus)}
    )
    loop = _loop(arguments, train, ranks)
    if ranks.count > 1:
        _try(arguments.tries, loop.model)
    restore_s = _restore(loop.state, folder, int(first), ranks)
    given = _samples(arguments, loop, ranks)
    rows = []
    for step in range(int(first), int(end)):
        parts = [(batch, draw(batch.ids, seed=0, step=step, draws=train.flow_draws, shape=(64, 2))) for batch in given]
        part = StepInput(step, tuple(parts))
        totals, _ = ranks.agree(part.totals, stop=False)
        rows.append(loop.advance(part, totals))
    more: dict[str, Any] = {}
    if arguments.profile:  # every rank must
        more = _profiled(arguments.profile.with_suffix(f".{ranks.count}.{ranks.index}"), loop, part, totals)
    if int(end) < 3 * arguments.steps and not arguments.timing:
        more |= _save(loop.state, folder, int(end), ranks)
    if ranks.leads:
        cuda = torch.cuda.is_available()
        row = {
            "device": torch.cuda.get_device_name() if cuda else "cpu",
            "losses": [round(row.loss, 5) for row in rows],
            "step_s": round(statistics.median(_seconds(row.samples_per_second, totals) for row in rows[_GUARDED:]), 3),
            "peak_gib": round(torch.cuda.max_memory_allocated() / _GIB, 2) if cuda else None,
            "restore_s": restore_s,
        }
        (folder / "row.json").write_text(json.dumps(row | more))
    ranks.close()


def _loop(arguments: argparse.Namespace, train: Train, ranks: Ranks) -> Loop:
    sizes = TINY if arguments.tiny else replace(FULL, layers=arguments.layers)
    model = build(sizes, ranks.device, torch.bfloat16)
    names = list(choose_weights(model, train))
    if "reduce" in arguments.tries:
        sharding.MixedPrecisionPolicy = _in_bfloat16  # type: ignore[misc,assignment]
    wrapped = ranks.wrap(model, train)
    if arguments.timing:
        model.economise(chosen(Economies(), "full", machine_of(ranks.device), split=ranks.count > 1))
    state = State.begin({name: model.get_parameter(name) for name in names}, train)
    silent = Outside(lambda: False, lambda: time.time_ns() // 1000, lambda _: None, lambda _: None)
    gradients = Computed(wrapped, state.weights.values(), train, ranks)
    return Loop(model, gradients, state, train, ranks, silent)


def _in_bfloat16(**_: Any) -> MixedPrecisionPolicy:
    return MixedPrecisionPolicy(reduce_dtype=torch.bfloat16)


def _try(tries: list[str], model: AlpamayoR1) -> None:
    """Change how a split model runs."""
    layers: list[Any] = [*model.vlm.model.language_model.layers, *model.expert.layers]
    if "prefetch" in tries:
        for layer, following in itertools.pairwise(layers):
            layer.set_modules_to_forward_prefetch([following])
            following.set_modules_to_backward_prefetch([layer])
    if "compile" in tries:
        for layer in layers:
            layer.forward = torch.compile(layer.forward)


def _profiled(path: Path, loop: Loop, part: StepInput, totals: Totals) -> dict[str, Any]:
    """Return what the GPU does in two steps more, and how long the optimiser takes; write the kernels by time."""
    seconds, step = [], loop.state.optimiser.step

    def timed() -> None:
        _synchronise()
        began = time.perf_counter()
        step()
        _synchronise()
        seconds.append(time.perf_counter() - began)

    watched = ProfilerActivity.CUDA if torch.cuda.is_available() else ProfilerActivity.CPU
    with profile(activities=[watched]) as profiler:
        for _ in range(_PROFILED):
            loop.advance(part, totals)
        _synchronise()
    loop.state.optimiser.step = timed  # type: ignore[method-assign,assignment]
    loop.advance(part, totals)
    if not torch.cuda.is_available():
        return {}
    found = [e for e in profiler.events() if "CUDA" in str(e.device_type) and not _NOTES.search(e.name)]
    table = profiler.key_averages().table(sort_by="self_cuda_time_total", row_limit=40, max_name_column_width=90)
    path.write_text(table, encoding="utf-8")
    spans = [(e.name, float(e.time_range.start), float(e.time_range.end)) for e in found]
    return {"ms_a_step": summary(spans, _PROFILED), "optimiser_ms": round(1e3 * seconds[0], 1)}


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _samples(arguments: argparse.Namespace, loop: Loop, ranks: Ranks) -> list[Any]:
    """Return this rank's part of as many samples as there are GPUs."""
    sizes = TINY if arguments.tiny else FULL
    given = batches(sizes, loop.model, cameras=arguments.cameras, rows=1, count=arguments.gpus)
    return given[ranks.index :: ranks.count]


def _restore(state: State, folder: Path, step: int, ranks: Ranks) -> float | None:
    if not step:
        return None
    began = time.perf_counter()
    restore_state(state, folder / f"step-{step}", step)
    ranks.wait()
    return round(time.perf_counter() - began, 2)


def _save(state: State, folder: Path, step: int, ranks: Ranks) -> dict[str, float]:
    began, target = time.perf_counter(), folder / f"step-{step}"
    target.mkdir(exist_ok=True)
    save_state(state, target, leads=ranks.leads)
    ranks.wait()
    size = sum(path.stat().st_size for path in target.iterdir())
    return {"save_s": round(time.perf_counter() - began, 2), "saved_gib": round(size / _GIB, 3)}


def _seconds(samples_per_second: float, totals: Totals) -> float:
    return totals.samples / samples_per_second


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpus", type=int, default=max(2, torch.cuda.device_count()))
    parser.add_argument("--layers", type=int, default=8, help="of language model and expert; the release has 36")
    parser.add_argument("--steps", type=int, default=4, help="of each of the first three phases")
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--scratch", type=Path, help="folder with room for the checkpoints: 4 bytes a weight each")
    parser.add_argument("--timing", action="store_true", help="as the stage runs, without checkpoints")
    parser.add_argument("--of", type=int, nargs="+", default=[1, 2], help="with --timing: of so many GPUs")
    parser.add_argument("--try", dest="tries", nargs="*", choices=("compile", "prefetch", "reduce"), default=[])
    parser.add_argument("--profile", type=Path, help="write the kernels of two steps, by time, beside this file")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--phase", nargs=4, help="be a rank: folder, GPUs, first and end of the steps")
    return parser.parse_args()


if __name__ == "__main__":
    main()
