"""Two plans -> what has changed between them, in a person's words: recipe fields, inputs, code. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from touge.contract.plan import Plan

_SHORT = 12


def differences(before: Plan, now: Plan) -> list[str]:
    """Return one line for each thing that is another; names are those of the recipe."""
    old, new = _told(before), _told(now)
    keys = [*new, *(key for key in old if key not in new)]
    return [
        f"{key}: {old.get(key, 'nothing')} -> {new.get(key, 'nothing')}" for key in keys if old.get(key) != new.get(key)
    ]


def _told(plan: Plan) -> dict[str, str]:
    recipe = plan.recipe.model_dump(mode="json", by_alias=True, exclude={"name"})
    told = dict(_flat(recipe, ""))
    told["base (content)"] = plan.base.digest[:_SHORT]
    if plan.backbone:
        told["backbone (content)"] = plan.backbone.digest[:_SHORT]
    for inventory in plan.inventories:
        told[f"drives {inventory.uri}"] = f"{inventory.objects} objects ({inventory.digest[:_SHORT]})"
    return told | {f"code of {stage.name}": stage.code[:_SHORT] for stage in plan.stages}


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield the leaves of a document with their dotted paths, as `--set` takes them."""
    items: Mapping[Any, Any] = value if isinstance(value, dict) else dict(enumerate(value)) if _nested(value) else {}
    if not items:
        yield path, str(value)
    for key, item in items.items():
        yield from _flat(item, f"{path}.{key}" if path else str(key))


def _nested(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, dict) for item in value)
