"""What each stage of a recipe does: the part of it that decides the stage's output, and so goes into its id. Pure.

Whoever plans by these sections finds the work of others again: the controller, and the demo, whose base model learns
from the very data set that its recipe curates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from touge.contract.plan import StageName
from touge.contract.recipe import Recipe

SAMPLE_SCHEMA = "touge.sample/1"


def sections_of(recipe: Recipe, stage_nonce: str = "") -> dict[StageName, dict[str, Any]]:
    """Return what each stage does, and nothing that only says where or how fast."""
    curate = recipe.curate.model_dump(mode="json", by_alias=True, exclude={"shards": True})
    curate["drives"] = [_without(drive, "uri") for drive in curate["drives"]]
    evaluate = recipe.evaluate.model_dump(mode="json", by_alias=True, exclude={"shards": True})
    mapped = {"curate": _without(curate, "balance", "split"), "schema": SAMPLE_SCHEMA}
    return {
        "curate-map": mapped | ({"nonce": stage_nonce} if stage_nonce else {}),
        "curate": {"curate": curate, "schema": SAMPLE_SCHEMA},
        "train": {
            "train": recipe.train.model_dump(mode="json", by_alias=True, exclude={"economy": True}),
            "global_batch": global_batch(recipe),
        },
        "evaluate-map": {"evaluate": _without(evaluate, "gate")},
        "evaluate": {"evaluate": evaluate},
    }


def global_batch(recipe: Recipe) -> int:
    """Return the samples that one optimiser step sees over all processes."""
    processes = max(1, recipe.resources.gpus or 1) * recipe.resources.nodes
    return recipe.train.batch_size * recipe.train.gradient_accumulation * processes


def _without(document: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in keys}
