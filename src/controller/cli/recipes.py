"""A recipe file to a plan: read, override, locate, resolve, plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from touge.contract.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from touge.contract.inventory import Inventory
    from touge.contract.plan import Plan


def plan_recipe(
    path: Path, overrides: Sequence[str], *, run_nonce: str = "", stage_nonce: str = ""
) -> tuple[Plan, tuple[Inventory, ...]]:
    """Return the plan of a recipe file and the inventories that it was made from.

    Raises:
        TougeError: If the file, the recipe or an address in it is wrong.
    """
    from controller.plan import make_plan
    from controller.resolve import located, resolve
    from touge.contract.recipe import load_recipe
    from touge.storage.sources import code_digests

    recipe = located(load_recipe(_read(path), overrides, source=str(path)), Path.cwd())
    resolved = resolve(recipe)
    plan = make_plan(recipe, resolved, code_digests(), run_nonce=run_nonce, stage_nonce=stage_nonce)
    return plan, resolved.inventories


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise RecipeError(
            f"cannot be read: {reason}; expected a recipe like those in jobs/", source=str(path)
        ) from None
