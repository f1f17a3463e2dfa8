"""Stages of a recipe without a controller, over a store of their own: how the demo makes what it begins with.

The same work, artifacts and commits, without records of runs. What is committed is not done again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Self

import structlog

from touge.contract.artifacts import Shard, StageRef
from touge.contract.environment import StageEnvironment
from touge.contract.errors import (
    CheckpointError,
    DataError,
    GpuMemoryError,
    InfrastructureError,
    Interrupted,
    SettingsError,
    TougeError,
)
from touge.contract.identity import run_id, stage_id
from touge.contract.plan import InventoryRef, Plan, Stage, StageName
from touge.contract.processors import Share
from touge.contract.recipe import Recipe
from touge.contract.sections import sections_of
from touge.stage import StageContext, Work, now_us
from touge.storage import Store
from touge.storage.execution import Artifact, Execution, committed
from touge.storage.inventory import resolve_model, take_inventory
from touge.storage.sources import code_digests


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Curation and training of one recipe, the shards of a mapped stage side by side.

    Attributes:
        plan: Its stages `curate-map`, `curate` and `train`.
        store: Where artifacts go.
        scratch: Where stages work.
    """

    plan: Plan
    store: Store
    scratch: Path

    @classmethod
    def of(cls, recipe: Recipe, store: Store, scratch: Path) -> Self:
        """Plan a recipe whose addresses are absolute."""
        return cls(_plan(recipe), store, scratch)

    def run(self, name: StageName, work: Work) -> Artifact:
        """Do a stage's work and commit it, unless that was done before; return what is committed, the last shard's.

        Args:
            name: Of the stage.
            work: A function of a module: shards run in processes of their own.
        """
        stage = self.plan.stage(name)
        if stage.shards == 1:
            return self.run_shard(stage, work, 0)
        with ProcessPoolExecutor(stage.shards, get_context("spawn")) as pool:
            return list(pool.map(self.run_shard, repeat(stage), repeat(work), range(stage.shards)))[-1]

    def run_apart(self, name: StageName, module: str, *, gpu: bool) -> Artifact:
        """Do an unmapped stage's work as its entry point does, in processes of its own, unless that was done before.

        Args:
            name: Of the stage.
            module: What `python -m` runs.
            gpu: Whether this machine has one.

        Raises:
            TougeError: As the stage did.
        """
        stage = self.plan.stage(name)
        ref = StageRef(stage.id)
        if committed(self.store, ref) is None:
            told = self._told(stage)
            share = Share.of(stage, self.plan.recipe, _processors(), gpu=gpu)
            environ = share.to_environ() | os.environ | told.to_environ()
            done = subprocess.run([sys.executable, "-m", module], env=environ, check=False)  # noqa: S603 - our own module
            if done.returncode:
                raise _failure(done.returncode, Path(str(told.termination_log)))
        return self._committed(ref)

    def run_shard(self, stage: Stage, work: Work, index: int) -> Artifact:
        """Do the work of one shard of a stage, or of a stage that has none."""
        ref = StageRef(stage.id, Shard(index, stage.shards) if stage.mapped else None)
        if committed(self.store, ref) is None:
            context = self._context(stage, ref, index)
            context.execution.commit(work(context))
        return self._committed(ref)

    def _committed(self, ref: StageRef) -> Artifact:
        if (found := committed(self.store, ref)) is None:
            raise DataError(f"{ref.committed_key} has vanished from {self.store.uri}; run the demo again")
        return found

    def _told(self, stage: Stage) -> StageEnvironment:
        scratch = self._scratch(stage, 0)
        plan, message = scratch / "plan.json", scratch / "message"
        plan.write_text(self.plan.to_json(), encoding="utf-8")
        message.unlink(missing_ok=True)
        return StageEnvironment(
            plan=str(plan),
            store=self.store.uri,
            stage=stage.name,
            attempt=1,
            uid=str(os.getpid()),
            scratch=str(scratch),
            termination_log=str(message),
        )

    def _scratch(self, stage: Stage, index: int) -> Path:
        scratch = self.scratch / stage.id / str(index)
        scratch.mkdir(parents=True, exist_ok=True)
        return scratch

    def _context(self, stage: Stage, ref: StageRef, index: int) -> StageContext:
        return StageContext(
            plan=self.plan,
            stage=stage,
            store=self.store,
            execution=Execution(self.store, ref, f"{self.plan.run}-1-{os.getpid()}", now_us),
            scratch=self._scratch(stage, index),
            index=index,
            clock=now_us,
            log=structlog.get_logger().bind(stage=stage.name),
        )


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _failure(code: int, message: Path) -> TougeError:
    """Return the error that ends a process of ours as this one ended."""
    kinds = (SettingsError, DataError, CheckpointError, GpuMemoryError, InfrastructureError, Interrupted)
    kind = next((kind for kind in kinds if kind.exit_code == code), TougeError)
    return kind(message.read_text(encoding="utf-8") if message.is_file() else f"its process ended with {code}")


def _plan(recipe: Recipe) -> Plan:
    base = resolve_model(recipe.base)
    inventories = [take_inventory(drive.uri) for drive in recipe.curate.drives]
    drives = {f"drives.{number}": inventory.digest for number, inventory in enumerate(inventories)}
    sections = sections_of(recipe)
    cut = _stage("curate-map", sections, drives, shards=recipe.curate.shards)
    data = _stage("curate", sections, {"map": cut.id})
    model = _stage("train", sections, {"data": data.id, "base": base.digest})
    stages = (cut, data, model)
    return Plan(
        run=run_id(recipe.name, [stage.id for stage in stages]),
        recipe=recipe,
        base=base,
        backbone=None,
        inventories=tuple(
            InventoryRef(uri=one.uri, digest=one.digest, objects=len(one.items), size=sum(i.size for i in one.items))
            for one in inventories
        ),
        stages=stages,
    )


def _stage(
    name: StageName, sections: Mapping[StageName, Mapping[str, Any]], inputs: Mapping[str, str], *, shards: int = 1
) -> Stage:
    code, section = code_digests()[name], dict(sections[name])
    identity = stage_id(name, section=section, inputs=inputs, code=code)
    return Stage(name=name, id=identity, shards=shards, section=section, inputs=dict(inputs), code=code)
