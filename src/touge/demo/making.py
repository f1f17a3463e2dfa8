"""What the demo begins with: a world of synthetic drives, the recipe's data set, and the biased base model."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from touge.contract.identity import digest
from touge.contract.recipe import Recipe
from touge.contract.sample import FUTURE_STEPS, STEP_S
from touge.demo.base import TRAINING, Places, make_base
from touge.drives.physical_ai_av_writer import write_world
from touge.drives.synthetic.route import Style
from touge.drives.synthetic.world import WorldSpec
from touge.storage.sources import code_digests

#: No streets: the dozen drives that a share of them would be are too few to learn from (docs/decisions/003).
_MIX = ((Style.MOUNTAIN, 0.9), (Style.ARTERIAL, 0.1))
#: A window looks so far ahead and needs no frame of it: the cameras film but the rest of a drive's 20 s.
_AHEAD_S = FUTURE_STEPS * STEP_S
_FILMED_S = 20.0 - _AHEAD_S


@dataclass(frozen=True, slots=True)
class Size:
    """How much is made.

    Attributes:
        drives: Of the world.
        training: Of the base: the section `train` of its recipe.
    """

    drives: int = 400
    training: Mapping[str, Any] = field(default_factory=lambda: TRAINING)


def make(recipe: Recipe, folder: Path, store: Path, seed: int, size: Size) -> None:
    """Write `drives` and `base` into a folder, `work` beside them, and the recipe's data set into a store."""
    places = Places(folder / "drives", folder / "base", folder / "work", store)
    draw_world(WorldSpec(seed=seed, drives=size.drives, mix=_MIX, clip_s=_FILMED_S, unseen_s=_AHEAD_S), places.drives)
    _say(f"base model: taught to name every bend and to drive straight on ({places.base})")
    make_base(recipe, places, seed=seed, training=size.training)


def draw_world(spec: WorldSpec, folder: Path) -> None:
    """Draw a world, unless this very one, drawn by this code, is there."""
    mark, key = folder.with_suffix(".key"), digest([repr(spec), code_digests()["curate-map"]])
    if mark.is_file() and mark.read_text(encoding="utf-8") == key:
        return
    _say(f"drawing {spec.drives} drives into {folder}")
    mark.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    write_world(spec, folder)
    mark.write_text(key, encoding="utf-8")


def _say(text: str) -> None:
    sys.stderr.write(f"demo: {text}\n")
    sys.stderr.flush()
