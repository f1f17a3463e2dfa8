"""Stages of a recipe in this process, over a store of their own: how the demo makes what it begins with.

The same work, artifacts and commits as under the controller, without its records. What is committed is not done again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Self

import structlog

from touge.contract.artifacts import Shard, StageRef
from touge.contract.errors import DataError
from touge.contract.identity import run_id, stage_id
from touge.contract.plan import InventoryRef, Plan, Stage, StageName
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

    def run_shard(self, stage: Stage, work: Work, index: int) -> Artifact:
        """Do the work of one shard of a stage, or of a stage that has none."""
        ref = StageRef(stage.id, Shard(index, stage.shards) if stage.mapped else None)
        if committed(self.store, ref) is None:
            context = self._context(stage, ref, index)
            context.execution.commit(work(context))
        if (found := committed(self.store, ref)) is None:
            raise DataError(f"{ref.committed_key} has vanished from {self.store.uri}; run the demo again")
        return found

    def _context(self, stage: Stage, ref: StageRef, index: int) -> StageContext:
        scratch = self.scratch / stage.id / str(index)
        scratch.mkdir(parents=True, exist_ok=True)
        return StageContext(
            plan=self.plan,
            stage=stage,
            store=self.store,
            execution=Execution(self.store, ref, f"{self.plan.run}-1-{os.getpid()}", now_us),
            scratch=scratch,
            index=index,
            clock=now_us,
            log=structlog.get_logger().bind(stage=stage.name),
        )


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
