"""The stage `train` as a process, from environment to exit code, at full size: `python benchmarks/stage.py FOLDER`.

Makes in FOLDER, unless they are there, a base of random weights (`loading.py`, 22 GB) and a small data set
(`windows.py`), and trains on it by `python -m touge.training`:

- throughout: all steps at once;
- stopped: SIGTERM behind some steps;
- resumed: from there to the end; its losses are held against those of the first;
- too small: while another process holds all of the card but `--left-gib`;
- lost rank: by `--gpus` processes, of which one is killed behind some steps.

Prints a JSON row for each: exit code and message, seconds until each point of the log, GiB of host and GPU, seconds of
a step, idle share, losses. What the driver counts of the GPU is asked of nvidia-smi twice a second. `--tiny` shows on a
CPU that it runs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import psutil  # type: ignore[import-untyped]
import torch

import loading
from touge.alpamayo.config import AlpamayoConfig
from touge.alpamayo.inputs.prompt import ASKING, OPENING
from touge.alpamayo.inputs.tokenizer import train_tiny_tokenizer
from touge.alpamayo.model import AlpamayoR1
from touge.alpamayo.tiny import TinySizes, tiny_document
from touge.alpamayo.weights import checkpoint
from touge.contract.artifacts import StageRef
from touge.contract.environment import StageEnvironment
from touge.contract.exit_codes import ExitCode
from touge.contract.plan import Plan
from touge.storage import open_store
from touge.storage.execution import committed, newest_checkpoint, read_progress
from touge.training.metrics import MetricsRow, idle_share
from touge.training.state import METRICS
from windows import DataSet

PHASES = ("throughout", "stopped", "resumed", "too small", "lost rank")
_EVERY_S = 0.5
_MIB, _GIB = 1 << 20, 1 << 30


Act = Callable[[subprocess.Popen[bytes]], None]


def _terminate(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)


def main() -> None:
    """Print a row for each phase."""
    arguments = _arguments()
    if arguments.hold:
        _hold(arguments.hold)
        return
    folder: Path = arguments.folder.absolute()
    data, base = DataSet(folder, arguments.tiny), folder / "base"
    data.make()
    print(
        json.dumps({"phase": "base"} | (_tiny_base(base) if arguments.tiny else loading.make(base, arguments.layers)))
    )
    bench = Bench(arguments, folder, data, base)
    for phase in arguments.phase:
        try:
            row = getattr(bench, phase.replace(" ", "_"))()
        except Exception as error:  # noqa: BLE001 - a failure is a row too
            row = {"error": f"{type(error).__name__}: {str(error)[:500]}"}
        print(json.dumps({"phase": phase, "device": _device(), "torch": torch.__version__} | row), flush=True)


@dataclass(slots=True)
class Bench:
    """The phases, each in a store of its own but for `resumed`, which goes on in that of `stopped`."""

    arguments: argparse.Namespace
    folder: Path
    data: DataSet
    base: Path

    def throughout(self) -> dict[str, Any]:
        """Return the row of a training that nobody disturbs."""
        training = self._training("throughout", self.data.store / "../whole")
        return training.run() | training.steps()

    def stopped(self) -> dict[str, Any]:
        """Return the row of a training that is told to stop."""
        training = self._training("stopped", self.data.store / "../halved")
        row = training.run(until=self.arguments.stop_at)
        found = newest_checkpoint(open_store(training.told.store), training.ref)
        if found is None:
            return row | {"checkpoint": None}
        size = sum(entry.size for entry in found.artifact.manifest.files)
        return row | {
            "checkpoint": found.step,
            "checkpoint_gib": round(size / _GIB, 3),
            "checkpoint_s": found.artifact.manifest.metadata.get("seconds"),
        }

    def resumed(self) -> dict[str, Any]:
        """Return the row of a training that goes on, and how far its losses lie from those of an undisturbed one."""
        training = self._training("resumed", self.data.store / "../halved")
        row = training.run() | training.steps()
        whole = self._training("throughout", self.data.store / "../whole").rows()
        apart = [abs(a.loss - b.loss) / b.loss for a, b in zip(training.rows(), whole, strict=False)]
        shown = {"median": round(statistics.median(apart), 5), "largest": round(max(apart), 5)} if apart else None
        return row | {"losses_apart": shown}

    def too_small(self) -> dict[str, Any]:
        """Return the row of a training that finds too little memory."""
        if not torch.cuda.is_available():
            return {"skipped": "no GPU"}
        training = self._training("too small", self.data.store / "../small")
        with _held(self.arguments.left_gib):
            row = training.run()
        expected = row["exit_code"] == ExitCode.GPU_MEMORY and "Set train." in row["message"]
        return row | {"left_gib": self.arguments.left_gib, "as_designed": expected}

    def lost_rank(self) -> dict[str, Any]:
        """Return the row of a training whose last rank is killed, and how long launcher and others outlive it."""
        training = self._training("lost rank", self.data.store / "../lost")
        gone: dict[int, float] = {}

        def kill(process: subprocess.Popen[bytes]) -> None:
            children = {child.pid: child.environ() for child in psutil.Process(process.pid).children()}
            ranks = {pid: environ["LOCAL_RANK"] for pid, environ in children.items() if "LOCAL_RANK" in environ}
            os.kill(max(ranks, key=lambda pid: int(ranks[pid])), signal.SIGKILL)
            began = time.monotonic()

            def note(rank: psutil.Process) -> None:
                gone[int(ranks[rank.pid])] = round(time.monotonic() - began, 1)

            psutil.wait_procs([psutil.Process(pid) for pid in ranks], timeout=120, callback=note)

        row = training.run(until=self.arguments.stop_at, act=kill, TOUGE_PROCESSES=str(self.arguments.gpus))
        found = newest_checkpoint(open_store(training.told.store), training.ref)
        return row | {"ranks_gone_s": gone, "checkpoint": found.step if found else None}

    def _training(self, phase: str, store: Path) -> Training:
        store = store.resolve()
        if not store.is_dir():
            shutil.copytree(self.data.store, store)
        settings = {
            "method": self.arguments.method,
            "steps": self.arguments.steps,
            "checkpoint_every": self.arguments.checkpoint_every,
            "flow_draws": self.arguments.draws,
            "warmup_steps": 10,
        }
        if phase == "lost rank":
            settings["gradient_accumulation"] = self.arguments.gpus  # which so many processes share
        plan = self.data.plan(self.base, settings, store)
        scratch = self.folder / "scratch" / phase.replace(" ", "-")
        scratch.mkdir(parents=True, exist_ok=True)
        (scratch / "plan.json").write_text(plan.to_json(), encoding="utf-8")
        told = StageEnvironment(
            plan=str(scratch / "plan.json"),
            store=f"file://{store}",
            stage="train",
            attempt=1 + PHASES.index(phase),
            uid="a",
            scratch=str(scratch),
            termination_log=str(scratch / "message"),
        )
        return Training(plan, told, scratch, self.arguments.limit_s)


@dataclass(slots=True)
class Training:
    """One execution of the stage."""

    plan: Plan
    told: StageEnvironment
    scratch: Path
    limit_s: float

    @property
    def ref(self) -> StageRef:
        """What it commits."""
        return StageRef(self.plan.stage("train").id)

    def run(self, until: int | None = None, act: Act = _terminate, **more: str) -> dict[str, Any]:
        """Run it to its end, or do something to it behind so many steps; return what was seen."""
        log, message = self.scratch / "log", self.scratch / "message"
        message.unlink(missing_ok=True)
        began, before = time.time(), _gpu_used()
        with log.open("wb") as out:
            environ = os.environ | self.told.to_environ() | more
            process = subprocess.Popen([sys.executable, "-m", "touge.training"], env=environ, stdout=out, stderr=out)
        with Watch(process.pid, began + self.limit_s) as watch:
            asked = self._disturb(process, until, act) if until else None
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        ended = time.time()
        return {
            "exit_code": process.returncode,
            "message": message.read_text(encoding="utf-8") if message.is_file() else "",
            "seconds": round(ended - began, 1),
            **({"seconds_to_stop": round(ended - asked, 1)} if asked else {}),
            "seconds_until": {name: round(at - began, 1) for name, at in _events(log).items()},
            "host_peak_gib": round(usage.ru_maxrss / (1 << 20), 2),
            "host_anonymous_peak_gib": round(watch.host_bytes / _GIB, 2),
            "gpu_before_gib": before and round(before / _GIB, 2),
            **watch.gpu_row(),
        }

    def _disturb(self, process: subprocess.Popen[bytes], until: int, act: Act) -> float:
        store, name = open_store(self.told.store), self.told.execution(self.plan)
        _wait(lambda: _has_ended(process.pid) or _steps_done(store, self.ref, name) >= until)
        began = time.time()
        act(process)
        return began

    def rows(self) -> list[MetricsRow]:
        """Return what was measured of every step."""
        artifact = committed(open_store(self.told.store), self.ref)
        lines = artifact.read(METRICS).splitlines() if artifact else []
        return [MetricsRow.read_json(line) for line in lines]

    def steps(self) -> dict[str, Any]:
        """Return what the committed artifact says of the steps."""
        artifact, rows = committed(open_store(self.told.store), self.ref), self.rows()
        if artifact is None or not rows:
            return {}
        taken = [1 / row.samples_per_second for row in rows]
        late = rows[len(rows) // 2 :]
        return {
            "steps": len(rows),
            "samples_per_second": round(1 / statistics.median(taken[len(taken) // 2 :]), 3),
            "samples_per_second_mean": round(len(late) / sum(taken[len(taken) // 2 :]), 3),
            "slow_steps_s": {row.step: round(s, 2) for row, s in zip(rows, taken, strict=True) if s > 1},
            "idle_share": round(idle_share(rows), 5),
            "idle_share_second_half": round(idle_share(late), 5),
            "loss": [round(rows[0].loss, 4), round(rows[-1].loss, 4)],
            "torch_gpu": artifact.manifest.metadata.get("gpu"),
        }


@dataclass(slots=True)
class Watch:
    """Looks at a process and at the GPU while inside; kills what has not ended in time (unix)."""

    pid: int
    until: float
    host_bytes: int = 0
    gpu: list[int] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread:
            self._thread.join()

    def gpu_row(self) -> dict[str, Any]:
        """Return the peak of what the driver counts, and the course of it, every tenth look."""
        if not self.gpu:
            return {}
        return {
            "gpu_peak_gib": round(max(self.gpu) / _GIB, 2),
            "gpu_course_gib": [round(used / _GIB, 1) for used in self.gpu[::10]],
        }

    def _look(self) -> None:
        while not self._over.wait(_EVERY_S):
            self.host_bytes = max(self.host_bytes, _anonymous(self.pid))
            if used := _gpu_used():
                self.gpu.append(used)
            if time.time() > self.until and not _has_ended(self.pid):
                os.kill(self.pid, signal.SIGKILL)


def _anonymous(pid: int) -> int:
    """Return the bytes of a process that no file holds; 0 once it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon")), 0)


def _gpu_used() -> int | None:
    """Return the bytes of the first GPU that are in use; None where there is none."""
    if not torch.cuda.is_available():
        return None
    asked = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return int(done.stdout.split()[0]) * _MIB if done.returncode == 0 else None


def _events(log: Path) -> dict[str, float]:
    """Return the unix time of each line of a stage's log, by what it says; of checkpoints the last."""
    found = {}
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("{"):
            said = json.loads(line)
            found[said["event"]] = datetime.fromisoformat(said["timestamp"]).timestamp()
    return found


def _has_ended(pid: int) -> bool:
    """Return whether a child has ended, which is still to be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _steps_done(store: Any, ref: StageRef, execution: str) -> int:
    progress = read_progress(store, ref, execution)
    return progress.done if progress else 0


def _wait(until: Callable[[], bool]) -> None:
    while not until():
        time.sleep(_EVERY_S)


@contextmanager
def _held(left_gib: float) -> Iterator[None]:
    """Let another process hold all of the GPU but so much."""
    command = [sys.executable, __file__, "-", "--hold", str(left_gib)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        if "held" not in (holder.stdout.readline() if holder.stdout else ""):
            raise RuntimeError("the memory could not be taken")
        try:
            yield
        finally:
            holder.terminate()


def _hold(left_gib: float) -> None:
    free, _ = torch.cuda.mem_get_info()
    taken = torch.empty(int(free - left_gib * _GIB), dtype=torch.uint8, device="cuda")
    print("held", taken.numel(), flush=True)
    signal.pause()


def _tiny_base(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        tokenizer = train_tiny_tokenizer([OPENING + ASKING] * 8)
        torch.manual_seed(0)
        model = AlpamayoR1(AlpamayoConfig.parse(tiny_document(tokenizer, TinySizes(pixels=64 * 32))))
        checkpoint.save(model, tokenizer, folder)
    return {"tiny": True}


def _device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def _arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--phase", nargs="+", choices=PHASES, default=PHASES[:4])
    parser.add_argument("--method", choices=("lora", "qlora", "full"), default="lora")
    parser.add_argument("--layers", type=int, default=loading.LAYERS, help="of language model and expert of a new base")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--stop-at", type=int, default=50, help="step behind which `stopped` is told to")
    parser.add_argument("--checkpoint-every", type=int, default=40)
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--left-gib", type=float, default=30, help="what `too small` leaves of the card")
    parser.add_argument("--limit-s", type=float, default=600, help="of a phase; what takes longer is killed")
    parser.add_argument("--gpus", type=int, default=2, help="of `lost rank`")
    parser.add_argument("--hold", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--tiny", action="store_true")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
