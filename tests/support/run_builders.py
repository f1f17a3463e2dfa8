"""Recipes, plans and executions for the controller's tests."""

from __future__ import annotations

import json
from typing import Any

from controller.plan import make_plan
from controller.state import Execution, RunSpec, State, Task
from touge.contract.inventory import Inventory, InventoryItem
from touge.contract.plan import STAGE_NAMES, Plan, Resolved, ResolvedModel
from touge.contract.recipe import Recipe

CODES = {name: f"code-of-{name}" for name in STAGE_NAMES}
SECOND = 1_000_000


def make_recipe(**changes: Any) -> Recipe:
    """Return a small recipe; `changes` replace whole sections."""
    document = {
        "apiVersion": "touge/v1",
        "name": "bend",
        "base": "file:///models/base",
        "curate": {"drives": [{"format": "jsonl", "uri": "file:///drives"}]},
        "train": {"method": "lora", "steps": 4},
    }
    return Recipe.model_validate(document | changes)


def make_resolved(recipe: Recipe, *, base: str = "base-digest", tag: str = "t") -> Resolved:
    """Return what the recipe's addresses hold: one object for each drives URI."""
    return Resolved(
        base=ResolvedModel(uri=recipe.base, digest=base),
        backbone=None,
        inventories=tuple(
            Inventory.of(drive.uri, [InventoryItem(key=f"{index}.jsonl", size=1, tag=tag)])
            for index, drive in enumerate(recipe.curate.drives)
        ),
    )


def plan_of(recipe: Recipe | None = None, **changes: Any) -> Plan:
    """Return the plan of a recipe."""
    recipe = recipe or make_recipe(**changes)
    return make_plan(recipe, make_resolved(recipe), CODES)


def spec_of(plan: Plan | None = None, **fields: Any) -> RunSpec:
    """Return what is wanted of a run."""
    return RunSpec(plan=plan or plan_of(), created_us=0, **fields)


def running(stage: str, shard: int = 0, attempt: int = 1, **fields: Any) -> Execution:
    """Return an execution at work."""
    fields = {"started_us": SECOND, "uid": f"u{attempt}", "state": State.RUNNING} | fields
    return Execution(task=Task(stage=stage, shard=shard), attempt=attempt, **fields)


def ended(stage: str, code: int | None, shard: int = 0, attempt: int = 1, **fields: Any) -> Execution:
    """Return an execution that is over."""
    state = State.SUCCEEDED if code == 0 else State.FAILED
    fields = {"started_us": SECOND, "ended_us": 2 * SECOND, "uid": f"u{attempt}", "state": state} | fields
    return Execution(task=Task(stage=stage, shard=shard), attempt=attempt, exit_code=code, **fields)


def passed_report(run: str) -> bytes:
    """Return the smallest report of a run whose gate passed, as the store holds it."""
    document: dict[str, Any] = {"schema": "touge.report/1", "run": run, "verdict": {"passed": True, "checks": []}}
    return json.dumps(document | {part: {} for part in ("windows", "models", "paired", "provenance")}).encode()
