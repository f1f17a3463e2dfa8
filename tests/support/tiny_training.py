"""A tiny base model, a curated data set of a few windows and a plan: all that the stage `train` needs."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import structlog
import torch
from PIL import Image
from tokenizers import Tokenizer
from whole_run import ALONE

from touge.alpamayo.config import AlpamayoConfig
from touge.alpamayo.inputs.batches import Encoder
from touge.alpamayo.inputs.tokenizer import train_tiny_tokenizer
from touge.alpamayo.model import AlpamayoR1
from touge.alpamayo.tiny import TinySizes, tiny_document
from touge.alpamayo.weights import checkpoint
from touge.contract.artifacts import StageRef
from touge.contract.environment import StageEnvironment
from touge.contract.plan import Plan, Stage
from touge.contract.recipe import Recipe, Train
from touge.stage import StageContext
from touge.storage import open_store
from touge.storage.execution import Execution, committed
from touge.storage.inventory import resolve_model
from touge.storage.shards import INDEX_SUFFIX, ShardReader, TarIndex
from touge.storage.sources import code_digests
from touge.training.feed import Feed
from touge.training.frames import FrameSource
from touge.training.inputs import Inputs
from touge.training.order import Order
from touge.training.samples import Samples

TEXTS = ("Right curve ahead, slow down.", "Left curve ahead, slow down.", "Keep going straight.")
SIZES = TinySizes(hidden=48, mlp=64, layers=2, vision_hidden=32, expert_hidden=32, expert_mlp=48, pixels=64 * 32)
TRAIN: dict[str, Any] = {
    "method": "lora",
    "lora": {"rank": 4, "alpha": 8},
    "steps": 4,
    "batch_size": 2,
    "flow_draws": 2,
    "learning_rate": 1e-2,
    "warmup_steps": 1,
    "checkpoint_every": 2,
}


def settings(**changes: Any) -> Train:
    """Return the settings of a small training."""
    return Train.model_validate(TRAIN | changes)


def feed_of(inputs: Inputs, train: Train, rank: int = 0, ranks: int = 1) -> Feed:
    """Return what gives a rank its batches."""
    order = Order(tuple(row.weight for row in inputs.samples.rows), train.seed)
    return Feed(inputs, order, train, rank, ranks)


def write_base(folder: Path, sizes: TinySizes = SIZES, deepstack: Sequence[int] = (0,)) -> Path:
    """Write a tiny model with random weights; `deepstack` are the vision layers that speak to language layers."""
    tokenizer = train_tiny_tokenizer(TEXTS * 5)
    torch.manual_seed(0)
    document = tiny_document(tokenizer, sizes)
    document["vlm_config"]["vision_config"]["deepstack_visual_indexes"] = list(deepstack)
    model = AlpamayoR1(AlpamayoConfig.parse(document))
    checkpoint.save(model, tokenizer, folder)
    return folder


def sample_row(number: int, images: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a row of `touge.sample/1`: ten metres a second along an arc."""
    curvature = (-1) ** number * 0.01
    s = np.arange(1, 65)
    yaw = curvature * s
    future = np.stack([np.sin(yaw) / curvature, (1 - np.cos(yaw)) / curvature, yaw], axis=1)
    row = {
        "schema": "touge.sample/1",
        "id": f"drive@{number}",
        "drive": "drive",
        "t0_us": number,
        "images": images,
        "history": [[float(step - 15), 0.0, 0.0, 0.0] for step in range(16)],
        "future": future.tolist(),
        "reasoning": {"text": TEXTS[number % 2], "language": "en", "source": "template"},
        "label": {"config": "jp-2026.1", "kind": "curve", "direction": "left", "radius_band": "60-100"},
        "split": "train",
        "provenance": {"reader": "test", "uri": "file:///test", "sha256": "0"},
    }
    return row | changes


def write_frames(folder: Path, prefix: str, numbers: range) -> dict[int, dict[str, Any]]:
    """Write a tar of noise frames with its index; return each sample's image references."""
    refs: dict[int, dict[str, Any]] = {}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "images-00000.tar"
    with tarfile.open(path, "w") as tar:
        for number in numbers:
            refs[number] = {"front_wide": [_add_frame(tar, prefix, number, index) for index in range(4)]}
    path.with_name(path.name + INDEX_SUFFIX).write_text(TarIndex.of(path).to_json())
    return refs


def _add_frame(tar: tarfile.TarFile, prefix: str, number: int, index: int) -> dict[str, Any]:
    picture = np.random.default_rng([number, index]).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG")
    info = tarfile.TarInfo(f"{number}-{index}.jpg")
    info.size = len(out.getvalue())
    tar.addfile(info, io.BytesIO(out.getvalue()))
    sha256 = hashlib.sha256(out.getvalue()).hexdigest()
    return {"path": f"{prefix}images-00000.tar#{info.name}", "t_us": number + index, "sha256": sha256}


#: Of a process that trains: this machine's GPUs where it has any, else one core and no compiler.
OWN = {"OMP_NUM_THREADS": "1"} if torch.cuda.is_available() else ALONE


@contextmanager
def starting(folder: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Give what starts `python -m touge.training` with its log in a folder; what is left in the end is killed."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(environ: Mapping[str, str], **more: str) -> subprocess.Popen[bytes]:
        own = {"PATH": os.environ["PATH"], "HOME": str(folder)} | OWN
        with (folder / f"log-{len(started)}").open("wb") as log:
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", "touge.training"], env=own | dict(environ) | more, stdout=log, stderr=log
                )
            )
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class World:
    """A folder with a base model, and a store with a curated data set."""

    root: Path
    base: Path
    data_id: str = "curate-0"

    @property
    def store_uri(self) -> str:
        """Address of the store."""
        return f"file://{self.root}/store"

    def curate(
        self, count: int = 8, changes: dict[int, dict[str, Any]] | None = None, *, tainted: bool = False
    ) -> None:
        """Commit a data set of `count` training windows; `changes` replace fields of single rows."""
        store = open_store(self.store_uri)
        execution = Execution(store, StageRef(self.data_id), "run-1-a", lambda: 0)
        refs = write_frames(self.root / "frames", execution.prefix, range(count))
        for path in sorted((self.root / "frames").iterdir()):
            execution.write(path.name, path)
        rows = [sample_row(number, refs[number], **(changes or {}).get(number, {})) for number in range(count)]
        execution.write("samples.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
        execution.commit({"tainted": tainted})

    def samples(self) -> Samples:
        """Return the committed rows."""
        artifact = committed(open_store(self.store_uri), StageRef(self.data_id))
        assert artifact is not None
        return Samples.open(artifact.fetch(self.root / "rows", ["samples.jsonl"]) / "samples.jsonl")

    def inputs(self, words: dict[str, str] | None = None) -> Inputs:
        """Return the committed rows as the base model takes them."""
        tokenizer = Tokenizer.from_file(str(self.base / "tokenizer.json"))
        encoder = Encoder(AlpamayoConfig.read(self.base), tokenizer)
        frames = FrameSource(ShardReader(open_store(self.store_uri)))
        return Inputs(self.samples(), frames, encoder, words or {})

    def plan(self, *, resources: dict[str, Any] | None = None, global_batch: int | None = None, **train: Any) -> Plan:
        """Return a plan whose only stage is `train`; its id is that of its settings."""
        recipe = Recipe.model_validate(
            {
                "apiVersion": "touge/v1",
                "name": "tiny",
                "base": f"file://{self.base}",
                "curate": {"drives": [{"format": "jsonl", "uri": "file:///drives"}]},
                "train": TRAIN | train,
                "resources": resources or {},
            }
        )
        section: dict[str, Any] = {"train": recipe.train.model_dump(mode="json")}
        if global_batch:
            section["global_batch"] = global_batch
        stage = Stage(
            name="train",
            id=f"train-{hashlib.sha256(json.dumps(section).encode()).hexdigest()[:8]}",
            section=section,
            inputs={"data": self.data_id},
            code=code_digests()["train"],
        )
        base = resolve_model(recipe.base)
        return Plan(run="tiny-1", recipe=recipe, base=base, backbone=None, inventories=(), stages=(stage,))

    def context(self, plan: Plan, execution: str = "tiny-1-1-a", stop_after: float = math.inf) -> StageContext:
        """Return what the stage's work is given; it is asked to stop when asked `stop_after` times whether to."""
        stage, store, asked = plan.stage("train"), open_store(self.store_uri), iter(range(10**9))

        class Context(StageContext):
            def stopping(self) -> bool:
                return next(asked) >= stop_after

        return Context(
            plan=plan,
            stage=stage,
            store=store,
            execution=Execution(store, StageRef(stage.id), execution, lambda: time.time_ns() // 1000),
            scratch=self.root / "scratch" / execution,
            index=0,
            clock=lambda: time.time_ns() // 1000,
            log=structlog.get_logger(),
        )

    def environ(self, plan: Plan, uid: str = "a") -> dict[str, str]:
        """Return the environment of a process of the stage."""
        path = self.root / f"plan-{uid}.json"
        path.write_text(plan.to_json())
        return StageEnvironment(
            plan=str(path),
            store=self.store_uri,
            stage="train",
            attempt=1,
            uid=uid,
            scratch=str(self.root / f"scratch-{uid}"),
            termination_log=str(self.root / f"message-{uid}"),
        ).to_environ()
