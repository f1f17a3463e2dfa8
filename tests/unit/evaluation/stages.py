"""A store with a curated data set, a trained adapter and a plan: all that the evaluation stages need."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from PIL import Image

from touge.alpamayo.weights import checkpoint, lora
from touge.contract.artifacts import Shard, StageRef
from touge.contract.plan import Plan, Stage
from touge.contract.recipe import Recipe
from touge.contract.sample import ImageRef, Sample
from touge.evaluation.rows import write_rows
from touge.stage import StageContext
from touge.storage import Store, open_store
from touge.storage.execution import Execution
from touge.storage.inventory import resolve_model
from touge.storage.shards import INDEX_SUFFIX, TarIndex

from .worlds import samples

DATA, MODEL, MAP, REPORT = "curate-0", "train-0", "evaluate-map-0", "evaluate-0"
SHARDS = 2


@dataclass(frozen=True)
class Bench:
    """Where the stages run.

    Attributes:
        root: A folder.
        base: The base model.
        drives: Held-out drives.
    """

    root: Path
    base: Path
    drives: int = 2

    @property
    def store(self) -> Store:
        """The object store."""
        return open_store(f"file://{self.root}/store")

    def prepare(self, *, tainted: bool = False) -> None:
        """Commit a data set and an adapter."""
        data = Execution(self.store, StageRef(DATA), "run-1-a", lambda: 0)
        rows = self._with_frames(data, [*samples(self.drives), *samples(2, "train")])
        data.write("samples.jsonl", write_rows(rows))
        data.write("leakage.json", json.dumps({"verdict": "none", "statements": ["No road is on two sides."]}).encode())
        data.commit({"tainted": tainted})
        self._train()

    def plan(self, *, base: Path | None = None, **evaluate: Any) -> Plan:
        """Return a plan of the two stages; `evaluate` replaces settings of that section."""
        recipe = Recipe.model_validate(
            {
                "apiVersion": "touge/v1",
                "name": "tiny",
                "base": f"file://{base or self.base}",
                "curate": {"drives": [{"format": "jsonl", "uri": "file:///drives"}]},
                "train": {"method": "lora"},
                "evaluate": {"rollouts": 2, "temperature": 0} | evaluate,
            }
        )
        section = {"evaluate": recipe.evaluate.model_dump(mode="json", exclude={"shards"})}
        inputs = {"data": DATA, "model": MODEL}
        stages = (
            Stage(name="evaluate-map", id=MAP, shards=SHARDS, section=section, inputs=inputs, code="c"),
            Stage(name="evaluate", id=REPORT, section=section, inputs={"map": MAP, **inputs}, code="c"),
        )
        resolved = resolve_model(recipe.base)
        return Plan(run="tiny-1", recipe=recipe, base=resolved, backbone=None, inventories=(), stages=stages)

    def context(
        self, name: str, index: int = 0, *, asked_to_stop: bool = False, plan: Plan | None = None
    ) -> StageContext:
        """Return what a stage's work is given."""
        plan = plan or self.plan()
        stage, store = plan.stage(name), self.store
        ref = StageRef(stage.id, Shard(index, stage.shards) if stage.mapped else None)
        found = StageContext(
            plan=plan,
            stage=stage,
            store=store,
            execution=Execution(store, ref, f"tiny-1-1-{index}", lambda: 0),
            scratch=self.root / f"scratch-{name}-{index}",
            index=index,
            clock=lambda: 0,
            log=structlog.get_logger(),
        )
        return dataclasses.replace(found, _stop=[15]) if asked_to_stop else found

    def _train(self) -> None:
        model, _ = checkpoint.load(self.base)
        adapter = lora.Adapter(rank=2, alpha=4)
        for weights in lora.inject(model, adapter):
            weights.data.normal_(0.0, 0.05)
        lora.save_adapter(
            model, adapter, self.root / "adapter", base_digest=resolve_model(f"file://{self.base}").digest
        )
        train = Execution(self.store, StageRef(MODEL), "run-1-a", lambda: 0)
        train.write_folder(self.root / "adapter", "adapter")
        train.write("training.json", json.dumps({"method": "lora", "steps": 4, "tainted": False}).encode())
        train.write("metrics.jsonl", b'{"step": 0, "loss": 1.0, "trajectory": 0.5}\n{"step": 1, "trajectory": 0.4}\n')
        train.commit({})

    def _with_frames(self, execution: Execution, rows: list[Sample]) -> list[Sample]:
        path = self.root / "images-00000.tar"
        picture = io.BytesIO()
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)).save(picture, "JPEG")
        with tarfile.open(path, "w") as tar:
            info = tarfile.TarInfo("frame.jpg")
            info.size = len(picture.getvalue())
            tar.addfile(info, io.BytesIO(picture.getvalue()))
        index = path.with_name(path.name + INDEX_SUFFIX)
        index.write_text(TarIndex.of(path).to_json(), encoding="utf-8")
        for file in (path, index):
            execution.write(file.name, file)
        sha256 = hashlib.sha256(picture.getvalue()).hexdigest()
        ref = ImageRef(path=f"{execution.prefix}{path.name}#frame.jpg", t_us=0, sha256=sha256)
        return [row.model_copy(update={"images": {"front_wide": (ref,) * 4}}) for row in rows]
