"""The claims about the demo, measured: `python benchmarks/demo.py seeds` and `python benchmarks/demo.py controls`.

seeds     the whole demo with three seeds of world, weights and training; prints each figure beside its bound
controls  the same demo with adapters that do not learn, and with contradictory data: both must end with exit code 20

Everything goes below build/demo-<seed>/; what is there already is reused. `controls` takes the first of the seeds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from touge.contract.sample import Reasoning, Sample
from touge.language.swap import swap_directions

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "jobs/demo.yaml"


def main() -> int:
    """Measure what the command line asks for; return 0 if every bound holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["seeds", "controls"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}")
    return seeds(arguments.seeds) if arguments.what == "seeds" else controls(arguments.seeds[0])


def seeds(numbers: list[int]) -> int:
    """Run the demo with each seed and print every figure with its bound."""
    good = True
    for seed in numbers:
        folder, began = made(seed), time.monotonic()
        code, _ = submit(folder)
        seconds = time.monotonic() - began
        report = json.loads(controller(folder, "report", "-o", "json").stdout)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        print(f"\nseed {seed}: exit code {code}; submit took {seconds:.0f} s; largest process so far {peak:.2f} GiB")
        for name, value, bound, holds in figures(report):
            good = good and holds
            print(f"  {'ok  ' if holds else 'MISS'}  {name:52} {value:8.3f}   {bound}")
    return 0 if good else 1


def figures(report: dict[str, Any]) -> list[tuple[str, float, str, bool]]:
    """Return name, value, bound and whether it holds, of everything that the demo must show."""
    base, tuned = report["models"]["base"], report["models"]["tuned"]
    value = lambda model, metric: model["curve"][metric]["value"]  # noqa: E731
    ade = {name: model["curve"]["ade"]["6.4"]["value"] for name, model in report["models"].items()}
    rows = [
        ("names the right direction, before", value(base, "right_direction"), ">= 0.90"),
        ("names the right direction, after", value(tuned, "right_direction"), ">= 0.90"),
        ("consistency, before", value(base, "consistency"), "<= 0.30"),
        ("consistency, after", value(tuned, "consistency"), ">= 0.90"),
        ("coverage, after", value(tuned, "coverage"), ">= 0.90"),
        *((f"curvature gain {side}, before", value(base, f"curvature_gain_{side}"), "<= 0.15") for side in SIDES),
        *((f"curvature gain {side}, after", value(tuned, f"curvature_gain_{side}"), ">= 0.80") for side in SIDES),
        *((f"curvature gain {side}, after ", value(tuned, f"curvature_gain_{side}"), "<= 1.20") for side in SIDES),
        ("curve ADE at 6.4 s, after / before", ade["tuned"] / ade["base"], "<= 0.50"),
        ("curve ADE, after / constant velocity", ade["tuned"] / ade["constant_velocity"], "<= 1.00"),
        ("curve ADE, after / constant turn rate", ade["tuned"] / ade["constant_turn_rate"], "<= 1.00"),
        ("gate passed", float(report["verdict"]["passed"] is True), ">= 1"),
    ]
    return [(name, number, bound, holds(number, bound)) for name, number, bound in rows]


SIDES = ("left", "right")


def holds(value: float, bound: str) -> bool:
    """Return whether `value` is on the right side of `<= x` or `>= x`."""
    sign, limit = bound.split()
    return value <= float(limit) if sign == "<=" else value >= float(limit)


def controls(seed: int) -> int:
    """Run both negative controls and print what the gate says."""
    folder = made(seed)
    submit(folder)
    rows = contradictory(folder)
    source = f"[{{format: jsonl, uri: 'file://{rows}'}}]"
    cases = {
        "adapters that do not learn": ["train.steps=1", "train.learning_rate=1e-12"],
        "contradictory data": [f"curate.drives={source}", "curate.contradictions=keep"],
    }
    good = True
    for name, overrides in cases.items():
        code, said = submit(folder, *overrides)
        good = good and code == 20
        print(f"\n{name}: exit code {code}, expected 20\n" + "\n".join(said.splitlines()[-24:]))
    return 0 if good else 1


def contradictory(folder: Path) -> Path:
    """Write the demo's rows with left and right exchanged in their words; return the file."""
    store = folder / ".touge/store"
    sets = store.glob("stages/curate-*/executions/*/samples.jsonl")
    found = max(sets, key=lambda path: path.stat().st_size)  # the base's has the training split alone
    path = store / "contradictory.jsonl"
    with path.open("w", encoding="utf-8") as out:
        for line in found.open(encoding="utf-8"):
            out.write(swapped(Sample.read_json(line.encode())).to_json() + "\n")
    return path


def swapped(row: Sample) -> Sample:
    """Return a row that says the other side."""
    if row.reasoning is None:
        return row
    words = Reasoning(text=swap_directions(row.reasoning.text), language=row.reasoning.language, source="template")
    return row.model_copy(update={"reasoning": words})


def made(seed: int) -> Path:
    """Make drives and base of a seed; return the folder to submit from."""
    folder = ROOT / f"build/demo-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "touge.demo", "--seed", str(seed), "--recipe", str(RECIPE)], cwd=folder, check=True
    )
    print(f"drives and base of seed {seed}: {time.monotonic() - began:.0f} s")
    return folder


def submit(folder: Path, *overrides: str) -> tuple[int, str]:
    """Submit the demo's recipe; return exit code and what was printed."""
    seed = folder.name.rpartition("-")[2]
    sets = [f"--set={override}" for override in (f"train.seed={seed}", f"evaluate.seed={seed}", *overrides)]
    done = controller(folder, "submit", str(RECIPE), *sets)
    return done.returncode, done.stdout


def controller(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the controller in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "controller", *words], cwd=folder, capture_output=True, text=True, check=False
    )


if __name__ == "__main__":
    sys.exit(main())
