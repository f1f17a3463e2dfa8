"""The whole pipeline at a size at which each stage takes seconds: drives, a base that learned nothing, a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tiny_training import write_base

from touge.drives.physical_ai_av_writer import write_world
from touge.drives.synthetic.route import Style
from touge.drives.synthetic.world import WorldSpec

WORLD = WorldSpec(
    seed=3, drives=12, clip_s=10.0, width=64, height=32, mix=((Style.MOUNTAIN, 0.5), (Style.ARTERIAL, 0.5))
)
TRAIN: dict[str, Any] = {
    "method": "lora",
    "lora": {"rank": 4, "alpha": 8},
    "loss": {"trajectory_tokens": 0},
    "flow_draws": 1,
    "steps": 80,
    "batch_size": 2,
    "learning_rate": 1e-3,
    "checkpoint_every": 8,
}


def write_inputs(folder: Path) -> None:
    """Write `drives` and `base`: a synthetic world and a model that has learned nothing."""
    write_world(WORLD, folder / "drives", workers=1)
    write_base(folder / "base")


def recipe(inputs: str, **curate: Any) -> dict[str, Any]:
    """Return a recipe for inputs at an address; `curate` replaces settings of that section."""
    return {
        "apiVersion": "touge/v1",
        "name": "tiny",
        "base": f"{inputs}/base",
        "curate": {
            "drives": [{"format": "physical-ai-av", "uri": f"{inputs}/drives"}],
            "image": {"min_pixels": 64 * 32, "max_pixels": 64 * 32},
            "reasoning": {"straight": "template"},
            "balance": {"straight": 0.45},
            "split": {"by": ["drive", "place"], "validation": 0, "test": 0.25},
            "shards": 2,
        }
        | curate,
        "train": TRAIN,
        "evaluate": {"rollouts": 1, "temperature": 0},
        "resources": {"gpus": 0},
    }
