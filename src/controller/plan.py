"""Recipe + what its names stand for + code digests -> Plan. Pure.

First half of the controller's work: everything after it speaks of stage ids only. A stage id is a
hash of what decides the stage's output (design: ids are content), so this module is where it is
decided what does and what does not: addresses, names, shards and node choice do not.
"""

from __future__ import annotations

from collections.abc import Mapping

from touge.contract.identity import run_id, stage_id
from touge.contract.inventory import Inventory
from touge.contract.plan import STAGE_NAMES, InventoryRef, Plan, Resolved, Stage, StageName
from touge.contract.recipe import Recipe
from touge.contract.sections import sections_of


def make_plan(
    recipe: Recipe, resolved: Resolved, codes: Mapping[str, str], *, run_nonce: str = "", stage_nonce: str = ""
) -> Plan:
    """Return the plan of a recipe.

    Args:
        recipe: What is wanted; its addresses are absolute.
        resolved: Content of base, backbone and each drives URI, in the recipe's order.
        codes: Code digest by stage name.
        run_nonce: Makes another run of the same stages.
        stage_nonce: Makes other stages of the same content: everything is computed again.
    """
    sections = sections_of(recipe, stage_nonce)
    stages: list[Stage] = []
    for name in STAGE_NAMES:
        inputs = _inputs(name, {stage.name: stage.id for stage in stages}, resolved)
        identity = stage_id(name, section=sections[name], inputs=inputs, code=codes[name])
        shards = _shards(name, recipe)
        stages.append(
            Stage(name=name, id=identity, shards=shards, section=sections[name], inputs=inputs, code=codes[name])
        )
    return Plan(
        run=run_id(recipe.name, [stage.id for stage in stages], nonce=run_nonce),
        recipe=recipe,
        base=resolved.base,
        backbone=resolved.backbone,
        inventories=tuple(_reference(inventory) for inventory in resolved.inventories),
        stages=tuple(stages),
    )


def _inputs(name: StageName, ids: Mapping[str, str], resolved: Resolved) -> dict[str, str]:
    models = {"base": resolved.base.digest}
    if resolved.backbone:
        models["backbone"] = resolved.backbone.digest
    match name:
        case "curate-map":
            return {f"drives.{index}": inventory.digest for index, inventory in enumerate(resolved.inventories)}
        case "curate":
            return {"map": ids["curate-map"]}
        case "train":
            return {"data": ids["curate"], **models}
        case "evaluate-map":
            return {"data": ids["curate"], "model": ids["train"], **models}
        case "evaluate":
            return {"map": ids["evaluate-map"], "data": ids["curate"], "model": ids["train"]}


def _shards(name: StageName, recipe: Recipe) -> int:
    return {"curate-map": recipe.curate.shards, "evaluate-map": recipe.evaluate.shards}.get(name, 1)


def _reference(inventory: Inventory) -> InventoryRef:
    size = sum(item.size for item in inventory.items)
    return InventoryRef(uri=inventory.uri, digest=inventory.digest, objects=len(inventory.items), size=size)
