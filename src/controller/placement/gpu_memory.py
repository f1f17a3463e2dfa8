"""How much GPU memory each method needs, so that a plan can say it and a node can be chosen by it.

Read by `plan` (the verb) and by placement. Pure. A method's card is that of the chart's templates (`placement.yaml`);
a recipe's is that of the measured row which covers it (`figures.yaml`).
"""

from __future__ import annotations

from collections.abc import Mapping

from controller.placement.hardware import TABLE
from touge.contract.figures import Figure, figure_of
from touge.contract.recipe import Recipe

#: Smallest card by training method, decimal GB.
METHOD_GB: Mapping[str, int] = {name: method.gpu_memory for name, method in TABLE.methods.items()}

#: Stages that run the model.
GPU_STAGES = frozenset({"train", "evaluate-map"})


def needed_gb(stage: str, recipe: Recipe) -> int | None:
    """Return the memory that one GPU of the stage needs in decimal GB, or None where it needs no GPU."""
    if stage not in GPU_STAGES or recipe.resources.gpus == 0:
        return None
    if asked := recipe.resources.gpu_memory:
        return int(asked.removesuffix("GB"))
    figure = _figure(stage, recipe)
    return figure.card if figure else METHOD_GB[recipe.train.method]


def told_memory(stage: str, recipe: Recipe) -> str:
    """Return in words what memory the stage needs and how that is known; `-` where it needs no GPU."""
    gigabytes = needed_gb(stage, recipe)
    if gigabytes is None:
        return "-"
    if recipe.resources.gpu_memory:
        return f"{gigabytes} GB, asked for"
    figure = _figure(stage, recipe)
    return f"{gigabytes} GB, {figure.told if figure else 'estimated'}"


def _figure(stage: str, recipe: Recipe) -> Figure | None:
    return figure_of(recipe.train, len(recipe.curate.cameras)) if stage == "train" else None
