"""What one controller carries: `PYTHONPATH=tests/support python benchmarks/scale.py [--runs N --active N --pods N]`.

Starts a control plane on loopback with kwok's nodes, records so many runs, of which some go on with so many pods in all
that hang, and lets one `operate` see them through; it needs the test cluster's binaries (CONTRIBUTING.md). The store is
a folder, so what a bucket takes is not in the figures; control plane, kwok and this script share the machine with the
controller, whose own processor time alone is counted. Prints a JSON row a claim, with its bound; a row that fails says
so:

  rest    processor time, of one core, and memory while nothing happens
  notice  from a pod's end, as a watch tells it, to the record that holds it
  list    `python -m controller list`, from start to end
  submit  from the record to its first Job
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import binaries
import fake_nodes
import psutil  # type: ignore[import-untyped]
from daemons import wait_until
from job_templates import NAMES, cronjob, pod_of
from laptop import FILES
from run_builders import CODES, ended, make_recipe, make_resolved

from control_plane import ControlPlane
from controller.plan import make_plan
from controller.runners.kubernetes.client import PODS, Cluster
from controller.runners.kubernetes.connection import connect
from controller.runners.kubernetes.records import ConfigMapRecords
from controller.state import RunSpec, RunStatus, State
from touge.contract.plan import Plan

_PODS_A_NODE = 100
_MIB = 1 << 20
_CONTROLLER = (sys.executable, "-m", "controller")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much there is: runs recorded, runs that go on, and their pods in all."""

    runs: int
    active: int
    pods: int

    @property
    def shards(self) -> int:
        """Pods of a run that goes on."""
        return max(1, self.pods // self.active)


def main() -> int:
    """Print a row for each claim; return 1 if one failed or is above its bound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="recorded")
    parser.add_argument("--active", type=int, default=200, help="of these, those that go on")
    parser.add_argument("--pods", type=int, default=5000, help="of those, in all")
    parser.add_argument("--rest", type=float, default=60, help="seconds of rest that are measured")
    parser.add_argument("--settle", type=float, default=20, help="seconds before")
    parser.add_argument("--samples", type=int, default=100, help="pods that end")
    given = parser.parse_args()
    sizes = Sizes(given.runs, given.active, given.pods)
    print(json.dumps({"row": "machine", **machine(), "runs": sizes.runs, "active": sizes.active, "pods": sizes.pods}))
    with ControlPlane() as plane, tempfile.TemporaryDirectory() as folder:
        scale = Scale(plane, Path(folder), sizes)
        rows = [
            printed("made", scale.make),
            printed("started", scale.start),
            printed("rest", lambda: scale.rest(given.settle, given.rest)),
            printed("notice", lambda: scale.notice(given.samples)),
            printed("list", scale.list),
            printed("submit", scale.submit),
        ]
        scale.stop()
    return int(any("error" in row or row.get("holds") is False for row in rows))


def machine() -> Row:
    """Return what this is measured on."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())
    memory = psutil.virtual_memory().total / 2**30
    versions = {"python": platform.python_version(), "kubernetes": binaries.kubernetes_version()}
    return {"processor": model, "cores": os.cpu_count(), "memory_gib": round(memory, 1), **versions}


def printed(name: str, measure: Callable[[], Row]) -> Row:
    """Measure, and print the row or what went wrong."""
    began = time.monotonic()
    try:
        row = measure()
    except Exception as error:  # noqa: BLE001 - the other rows are worth having
        row = {"error": f"{type(error).__name__}: {error}"}
    row = {"row": name, **row, "took_s": round(time.monotonic() - began, 1), "load": round(os.getloadavg()[0], 1)}
    print(json.dumps(row), flush=True)
    return row


@dataclass(slots=True)
class Scale:
    """A control plane, what is recorded there, and the controller at work."""

    plane: ControlPlane
    folder: Path
    sizes: Sizes
    namespace: str = ""
    environ: dict[str, str] = field(default_factory=dict)
    plans: list[Plan] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def make(self) -> Row:
        """Record all runs."""
        fake_nodes.play(self.plane)
        count = math.ceil(self.sizes.active * self.sizes.shards / _PODS_A_NODE) + 1
        self.plane.create(fake_nodes.fake_node(f"node-{number}", {}) for number in range(count))
        self.namespace = self.plane.restricted_namespace()
        self.plane.create(hanging(name, self.namespace) for name in NAMES)
        os.environ["KUBECONFIG"] = str(self.plane.kubeconfig)
        installed = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self.environ = installed | {
            "TOUGE_RUNNER": "kubernetes",
            "TOUGE_NAMESPACE": self.namespace,
            "TOUGE_STORE": f"file://{self.folder}/store",
            "TOUGE_HOME": str(self.folder / "home"),
        }
        self.plans = [plan_number(number, self.sizes.shards) for number in range(self.sizes.runs)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self._record, range(self.sizes.runs)))
        return {"shards": self.sizes.shards}

    def start(self) -> Row:
        """Start the controller, and wait until every pod runs."""
        log = (self.folder / "operate.log").open("wb")
        command = [*_CONTROLLER, "operate", "--host", "127.0.0.1", "--port", "0"]
        self.process = subprocess.Popen(command, env=self.environ, stderr=log)
        wanted, cluster = self.sizes.active * self.sizes.shards, self._cluster()

        def running() -> int:
            time.sleep(2)
            return len(cluster.list(PODS, fields="status.phase=Running", metadata=True).items)

        wait_until(
            lambda: running() >= wanted, f"{wanted} pods run", seconds=1200, told=lambda: f"{running()} of {wanted}"
        )
        return {"running": running()}

    def rest(self, settle_s: float, measured_s: float) -> Row:
        """Return what the controller takes while nothing happens."""
        time.sleep(settle_s)
        process = psutil.Process(self._pid)
        before, began = sum(process.cpu_times()[:2]), time.monotonic()
        time.sleep(measured_s)
        share = (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began)
        resident, peak = process.memory_info().rss / _MIB, peak_mib(self._pid)
        told = {"core_share": round(share, 3), "resident_mib": round(resident), "peak_mib": round(peak)}
        bounds = {"core_share": 0.2, "peak_mib": 250}
        return told | {"bounds": bounds, "holds": share <= bounds["core_share"] and peak <= bounds["peak_mib"]}

    def notice(self, samples: int) -> Row:
        """End one pod of each of so many runs, one after another, and return how long the records took to tell."""
        chosen = {plan.run for plan in self.plans[: min(samples, self.sizes.active)]}
        cluster = self._cluster()
        first = "batch.kubernetes.io/job-completion-index=0,touge/stage=curate-map"
        pods = [item["metadata"] for item in cluster.list(PODS, first, metadata=True).items]
        mine = {pod["labels"]["touge/run"]: pod["name"] for pod in pods if pod["labels"]["touge/run"] in chosen}
        with self._watched("pods", "{.metadata.name} {.status.phase}") as ends, self._watched("configmaps") as told:
            for name in mine.values():
                end = {fake_nodes.EXIT_CODE: "11", fake_nodes.HANG: None}
                cluster.patch(PODS, name, {"metadata": {"annotations": end}})
                time.sleep(0.3)
            spans = [self._span(ends, f"{pod} Failed", told, run) for run, pod in mine.items()]
        return spread(spans, 2.0)

    def list(self) -> Row:
        """Return how long `list` takes, once Python has compiled what it imports."""
        self._timed("list")
        return spread([self._timed("list")[0] for _ in range(5)], 1.0)

    def submit(self) -> Row:
        """Submit, and return how long it takes until the first Job of each is there."""
        for name, text in FILES.items():
            (self.folder / name).parent.mkdir(exist_ok=True)
            (self.folder / name).write_text(text)
        spans, whole = [], []
        with self._watched("configmaps") as made, self._watched("jobs") as jobs:
            for steps in range(10):
                taken_s, said = self._timed("submit", "recipe.yaml", "--detach", "--set", f"train.steps={steps + 1}")
                run = json.loads(said)["run"]
                whole.append(taken_s)
                spans.append(self._span(made, run, jobs, run))
        return spread(spans, 1.0) | {"whole_command_s": round(median(whole), 2)}

    def stop(self) -> None:
        """End the controller."""
        if self.process:
            self.process.terminate()
            self.process.wait()

    @property
    def _pid(self) -> int:
        assert self.process is not None, "the controller was not started"  # noqa: S101 - as the tests' support
        return self.process.pid

    def _cluster(self) -> Cluster:
        return Cluster(connect(self.namespace))

    def _record(self, number: int) -> None:
        records = ConfigMapRecords(self._cluster())
        record = records.create(RunSpec(plan=self.plans[number], created_us=time.time_ns() // 1000))
        if number >= self.sizes.active:
            executions = tuple(ended("curate-map", 0, shard=shard) for shard in range(self.sizes.shards))
            status = RunStatus(state=State.SUCCEEDED, executions=executions, ended_us=1)
            records.update(record.model_copy(update={"status": status}))

    def _timed(self, *words: str) -> tuple[float, str]:
        """Run a command line, and return the seconds that it took and what it said."""
        began = time.monotonic()
        command = [*_CONTROLLER, *words, "-o", "json"]
        done = subprocess.run(command, env=self.environ, cwd=self.folder, check=True, capture_output=True, text=True)
        return time.monotonic() - began, done.stdout

    @contextlib.contextmanager
    def _watched(self, kind: str, shown: str = "{.metadata.name}") -> Iterator[list[tuple[float, str]]]:
        """Yield a list to which every change of a kind of object is added, with its time."""
        command = [str(binaries.folder() / "kubectl"), "get", kind, "--namespace", self.namespace, "--watch-only"]
        command += ["--output", f'jsonpath={shown}{{"\\n"}}']
        process = subprocess.Popen(command, env=self.environ, stdout=subprocess.PIPE, text=True)
        lines: list[tuple[float, str]] = []

        def read() -> None:
            lines.extend((time.monotonic(), line.strip()) for line in process.stdout or ())

        reader = threading.Thread(target=read)
        reader.start()
        time.sleep(2)
        try:
            yield lines
        finally:
            process.kill()
            reader.join()
            process.wait()

    def _span(
        self, causes: list[tuple[float, str]], cause: str, effects: list[tuple[float, str]], beginning: str
    ) -> float:
        """Return the seconds from a change to the first one after it whose object's name begins so."""

        def found() -> list[float]:
            began = [at for at, said in causes if said == cause][:1]
            ends = [at for at, said in effects if said.startswith(beginning) and began and at >= began[0]]
            return [ends[0] - began[0]] if ends else []

        wait_until(lambda: bool(found()), f"{cause} is followed by {beginning}", seconds=60)
        return found()[0]


def plan_number(number: int, shards: int) -> Plan:
    """Return one of many plans that share no stage."""
    curate = {"drives": [{"format": "jsonl", "uri": "file:///drives"}], "shards": shards}
    recipe = make_recipe(curate=curate, name="scale")
    return make_plan(recipe, make_resolved(recipe, tag=str(number)), CODES)


def hanging(name: str, namespace: str) -> Row:
    """Return a Job template whose pods fit kwok's nodes, and run until somebody ends them."""
    document = cronjob(name)
    document["metadata"]["namespace"] = namespace
    template = document["spec"]["jobTemplate"]["spec"]["template"]
    template["metadata"]["annotations"][fake_nodes.HANG] = "true"
    document["spec"]["jobTemplate"]["metadata"]["labels"].pop("kueue.x-k8s.io/queue-name")
    spec = pod_of(document["spec"]["jobTemplate"])
    del spec["serviceAccountName"]
    spec["tolerations"] = [{"operator": "Exists"}]
    spec["containers"][0]["resources"] = {"requests": {"cpu": "10m", "memory": "16Mi"}}
    return document


def peak_mib(pid: int) -> float:
    """Return the most memory that a process had."""
    lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def spread(seconds: list[float], bound_s: float) -> Row:
    """Return the middle, the 99th percentile and the longest of some times, with their bound."""
    ordered = sorted(seconds)
    p99 = ordered[math.ceil(0.99 * len(ordered)) - 1]
    told = {"median_s": median(ordered), "p99_s": p99, "longest_s": ordered[-1]}
    return {"n": len(ordered), **{key: round(value, 2) for key, value in told.items()}, "bound_s": bound_s,
            "holds": p99 <= bound_s}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
