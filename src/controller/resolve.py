"""Names to content: what the addresses in a recipe hold today. The planner's only effect.

Reads folders, prefixes and hub revisions through `touge.storage`; decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from touge.contract.errors import TougeError
from touge.contract.plan import Resolved
from touge.contract.recipe import Recipe
from touge.storage.inventory import resolve_model, take_inventory

T = TypeVar("T")
_FILE = "file://"


def located(recipe: Recipe, folder: Path) -> Recipe:
    """Return the recipe with relative addresses (`file://./drives`) made absolute from `folder`.

    Stages run elsewhere, so an address must mean the same from every folder. Addresses are not part of any id.
    """
    drives = tuple(drive.model_copy(update={"uri": absolute(drive.uri, folder)}) for drive in recipe.curate.drives)
    return recipe.model_copy(
        update={
            "base": absolute(recipe.base, folder),
            "backbone": recipe.backbone and absolute(recipe.backbone, folder),
            "curate": recipe.curate.model_copy(update={"drives": drives}),
        }
    )


def absolute(uri: str, folder: Path) -> str:
    """Return a `file://` address as an absolute one; others as they are."""
    if not uri.startswith(_FILE):
        return uri
    return f"{_FILE}{(folder / uri.removeprefix(_FILE)).resolve()}"


def resolve(recipe: Recipe) -> Resolved:
    """Return the content behind base, backbone and drives of a located recipe.

    Raises:
        TougeError: Naming every address that cannot be resolved, of the class of the first problem.
    """
    failed: list[TougeError] = []
    base = _attempt(partial(resolve_model, recipe.base), "base", failed)
    backbone = _attempt(partial(resolve_model, recipe.backbone), "backbone", failed) if recipe.backbone else None
    inventories = [
        _attempt(partial(take_inventory, drive.uri), f"curate.drives.{index}", failed)
        for index, drive in enumerate(recipe.curate.drives)
    ]
    if failed or base is None:
        raise _together(failed)
    return Resolved(base=base, backbone=backbone, inventories=tuple(i for i in inventories if i is not None))


def _attempt(read: Callable[[], T], place: str, failed: list[TougeError]) -> T | None:
    try:
        return read()
    except TougeError as error:
        failed.append(type(error)(f"{place}: {error}"))
        return None


def _together(errors: list[TougeError]) -> TougeError:
    lines = "\n".join(f"  - {error}" for error in errors)
    count = f"{len(errors)} addresses" if len(errors) > 1 else "an address"
    return type(errors[0])(f"cannot resolve {count} of the recipe (set another with --set)\n{lines}")
