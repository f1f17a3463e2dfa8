"""Curation in tests: drives and rows made on the spot, and both stages from end to end in one process."""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from PIL import Image

from controller.plan import make_plan
from touge.contract.artifacts import Shard, StageRef
from touge.contract.plan import Plan, Resolved, ResolvedModel
from touge.contract.recipe import Curate, Recipe
from touge.contract.sample import CameraModel, Provenance
from touge.curation.index import Entry
from touge.curation.mapping import curate_map
from touge.curation.merging import curate
from touge.curation.samples import Rules
from touge.drives.drive import Drive, Poses
from touge.stage import StageContext
from touge.storage import open_store
from touge.storage.execution import Artifact, Execution, committed
from touge.storage.inventory import take_inventory
from touge.storage.sources import code_digests

#: Bounds that leave frames of 64 x 32 as they are.
SMALL = {"min_pixels": 2048, "max_pixels": 2048}


def plan_of(section: dict[str, Any]) -> Plan:
    """Return the plan of a recipe with this section `curate`."""
    document = {"apiVersion": "touge/v1", "name": "test", "base": "file:///base", "train": {"method": "lora"}}
    recipe = Recipe.model_validate(document | {"curate": section})
    inventories = tuple(take_inventory(drive.uri) for drive in recipe.curate.drives)
    resolved = Resolved(base=ResolvedModel(uri="file:///base", digest="0"), backbone=None, inventories=inventories)
    return make_plan(recipe, resolved, code_digests())


@dataclass(frozen=True)
class Curator:
    """Runs the two stages over a store of its own."""

    root: Path

    def context(self, plan: Plan, name: str, index: int = 0, stop: Sequence[int] = ()) -> StageContext:
        """Return what a stage's work is given; with a signal in `stop` the process was asked to stop."""
        stage, store = plan.stage(name), open_store(f"file://{self.root}/store")
        ref = StageRef(stage.id, Shard(index, stage.shards) if stage.mapped else None)
        scratch = self.root / "scratch" / stage.id / str(index)
        scratch.mkdir(parents=True, exist_ok=True)
        return StageContext(
            plan=plan,
            stage=stage,
            store=store,
            execution=Execution(store, ref, "test-1-1-a", lambda: 0),
            scratch=scratch,
            index=index,
            clock=lambda: 0,
            log=structlog.get_logger(),
            _stop=list(stop),
        )

    def map(self, plan: Plan) -> list[Artifact]:
        """Run and commit every shard of `curate-map`."""
        contexts = [self.context(plan, "curate-map", index) for index in range(plan.stage("curate-map").shards)]
        for context in contexts:
            context.execution.commit(curate_map(context))
        return [committed(context.store, context.execution.ref) for context in contexts]

    def curate(self, section: dict[str, Any]) -> Artifact:
        """Run both stages and return what is committed."""
        plan = plan_of(section)
        self.map(plan)
        context = self.context(plan, "curate")
        context.execution.commit(curate(context))
        return committed(context.store, context.execution.ref)


def rows_of(artifact: Artifact) -> list[dict[str, Any]]:
    """Return the rows of a curated data set."""
    return [json.loads(line) for line in artifact.read("samples.jsonl").splitlines()]


def rules(**changes: Any) -> Rules:
    """Return the rules of a recipe's section `curate`, for frames of 64 x 32."""
    drives = [{"format": "jsonl", "uri": "file:///nowhere"}]
    return Rules.of(Curate.model_validate({"drives": drives, "image": SMALL} | changes))


def entry(drive: str = "a", t0_s: float = 0.0, kind: str = "curve", direction: str = "left", **changes: Any) -> Entry:
    """Return an index entry, its picture its own."""
    t0_us = round(t0_s * 1e6)
    fields = {
        "drive": drive,
        "t0_us": t0_us,
        "shard": 0,
        "offset": 0,
        "size": 0,
        "kind": kind,
        "direction": "none" if kind == "straight" else direction,
        "radius_band": "none",
        "bucket": kind,
        "source": "none",
        "place": None,
        "position": None,
        "picture": hashlib.sha256(f"{drive}@{t0_us}".encode()).digest()[:8],
    }
    return Entry(**(fields | changes))


@dataclass(frozen=True)
class PaintedCamera:
    """A camera whose every frame is another pattern, but for the black and the frozen ones."""

    t_us: np.ndarray
    name: str = "front_wide"
    model: CameraModel | None = None
    size: tuple[int, int] = (32, 64)
    black: frozenset[int] = frozenset()
    frozen: frozenset[int] = frozenset()

    def frames(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        """Yield the frames with these indices."""
        for index in indices:
            yield painted(min(self.frozen) if index in self.frozen else index, self.size) * (index not in self.black)


def painted(seed: int, size: tuple[int, int] = (32, 64)) -> np.ndarray:
    """Return a pattern of blocks, uint8 [H, W, 3]."""
    coarse = np.random.default_rng(seed).integers(40, 220, (size[0] // 16, size[1] // 16, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((16, 16, 1), dtype=np.uint8))


def arc(curvature: float, speed: float, t: np.ndarray) -> np.ndarray:
    """Return x, y, yaw [N, 3] after times `t` at a constant speed on a circle, or on a straight line."""
    yaw = curvature * speed * t
    if curvature == 0.0:
        return np.column_stack([speed * t, np.zeros_like(t), yaw])
    return np.column_stack([np.sin(yaw) / curvature, (1 - np.cos(yaw)) / curvature, yaw])


def make_poses(curvature: float = 0.01, speed: float = 10.0, seconds: float = 12.0, hz: float = 50.0) -> Poses:
    """Return poses on an arc, from time 0."""
    t = np.arange(round(seconds * hz) + 1) / hz
    path, zero = arc(curvature, speed, t), np.zeros_like(t)
    quat = np.column_stack([zero, zero, np.sin(path[:, 2] / 2), np.cos(path[:, 2] / 2)])
    xyz = np.column_stack([path[:, :2], zero])
    return Poses(np.round(t * 1e6).astype(np.int64), xyz, quat, np.full_like(t, speed))


def make_drive(poses: Poses | None = None, cameras: Sequence[Any] | None = None, **changes: Any) -> Drive:
    """Return a drive of 12 s on an arc to the left with a radius of 100 m, frames at 10 Hz."""
    poses = poses or make_poses()
    if cameras is None:
        cameras = [PaintedCamera(np.arange(poses.t_us[0], poses.t_us[-1] + 1, 100_000))]
    fields = {
        "id": "drive",
        "poses": poses,
        "cameras": {camera.name: camera for camera in cameras},
        "reasoning": (),
        "place": None,
        "global_frame": False,
        "country": None,
        "provenance": Provenance(reader="test", uri="file:///test", sha256="0" * 64),
    }
    return Drive(**(fields | changes))


@dataclass
class Rows:
    """A folder of brought rows with their frames: `samples.jsonl`, and one PNG for each frame."""

    folder: Path
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self, drive: str, t0_us: int, curvature: float = 0.01, speed: float = 10.0, **changes: Any
    ) -> dict[str, Any]:
        """Add a row on an arc and write its frames."""
        times = [t0_us - 300_000, t0_us - 200_000, t0_us - 100_000, t0_us]
        past, future = (arc(curvature, speed, np.arange(*ends) / 10) for ends in ((-15, 1), (1, 65)))
        row = {
            "schema": "touge.sample/1",
            "id": f"{drive}@{t0_us}",
            "drive": drive,
            "t0_us": t0_us,
            "images": {"front_wide": [self._frame(drive, t_us) for t_us in times]},
            "history": np.insert(past, 2, 0.0, axis=1).tolist(),
            "future": future.tolist(),
            "label": {"config": "mine", "kind": "mine", "direction": "none", "radius_band": "none"},
            "split": "test",
            "provenance": {"reader": "test", "uri": "file:///test", "sha256": "0"},
        } | changes
        self.rows.append(row)
        return row

    def add_drive(self, drive: str, curvature: float = 0.01, windows: int = 3, **changes: Any) -> None:
        """Add rows one second apart."""
        for number in range(windows):
            self.add(drive, 2_000_000 + number * 1_000_000, curvature, **changes)

    def section(self, **changes: Any) -> dict[str, Any]:
        """Write the rows and return the recipe's section `curate`."""
        lines = (json.dumps(row) + "\n" for row in self.rows)
        (self.folder / "samples.jsonl").write_text("".join(lines))
        return {"drives": [{"format": "jsonl", "uri": f"file://{self.folder}"}], "image": SMALL} | changes

    def _frame(self, drive: str, t_us: int) -> dict[str, Any]:
        out = io.BytesIO()
        Image.fromarray(painted(zlib.crc32(f"{drive}{t_us}".encode()))).save(out, "PNG")
        name = f"frames/{drive}/{t_us}.png"
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(out.getvalue())
        return {"path": name, "t_us": t_us, "sha256": hashlib.sha256(out.getvalue()).hexdigest()}
