"""How much GPU memory each method needs, so that a plan can say it and a node can be chosen by it.

Read by `plan` (the verb) and by placement. Pure. The figures are the table's (`placement.yaml`).
"""

from __future__ import annotations

from collections.abc import Mapping

from controller.hardware import TABLE
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
    return METHOD_GB[recipe.train.method]
