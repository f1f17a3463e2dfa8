"""A small world of held-out drives, and models that drive a given share of every bend."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from touge.contract.prediction import Prediction
from touge.contract.sample import CameraModel, Sample
from touge.evaluation.comparison import Material
from touge.evaluation.likelihood import Likelihood

from .paths import arc, history, make_prediction, make_sample

#: A level pinhole of 128 x 64 pixels, 1.5 m above the ground.
CAMERA = CameraModel(
    model="pinhole",
    intrinsics={"fx": 91.0, "fy": 91.0, "cx": 64.0, "cy": 27.0},
    ego_from_camera=(0, 0, 1, 1.7, -1, 0, 0, 0, 0, -1, 0, 1.5, 0, 0, 0, 1),
    width=128,
    height=64,
)
#: Radius, kind and direction of the windows of each drive.
ROADS = (
    (40.0, "curve", "left", "30-60"),
    (-80.0, "curve", "right", "60-100"),
    (120.0, "curve", "left", "100-150"),
    (-50.0, "curve", "right", "30-60"),
    (math.inf, "straight", "none", "none"),
    (math.inf, "straight", "none", "none"),
)
WORDS = {
    "left": "Left curve ahead, slow down and follow it.",
    "right": "この先右カーブ、減速します。",
    "none": "Keep lane.",
}


def samples(drives: int, split: str = "test") -> list[Sample]:
    """Six windows a drive, at a speed of its own."""
    found = []
    for drive in range(drives):
        speed = 8.0 + drive % 5
        for place, (radius, kind, direction, band) in enumerate(ROADS):
            sample = make_sample(
                arc(radius, speed),
                drive=f"{split}-{drive}",
                t0_us=place * 20_000_000,
                kind=kind,
                direction=direction,
                band=band,
                split=split,
                past=history(speed),
            )
            found.append(sample.model_copy(update={"cameras": {"front_wide": CAMERA}}))
    return found


def driven(rows: list[Sample], share: float, *, seed: int, rollouts: int = 3) -> dict[str, Prediction]:
    """Predictions that say what is there and drive `share` of every bend; straights are driven alike by every model."""
    generator, same = np.random.default_rng(seed), np.random.default_rng(0)
    return {
        sample.id: _driven(sample, share, same if sample.label.kind == "straight" else generator, rollouts)
        for sample in rows
    }


def _driven(sample: Sample, share: float, generator: np.random.Generator, rollouts: int) -> Prediction:
    yaw = np.array(sample.future)[-1, 2]
    length = math.hypot(*sample.history[-11][:2]) * 6.4
    paths = []
    for _ in range(rollouts):
        turned = yaw * share * generator.normal(1.0, 0.05) + generator.normal(0.0, 0.01)
        paths.append(arc(length / turned, length / 6.4))
    return make_prediction(sample, paths, WORDS[sample.label.direction])


def material(drives: int = 24, *, base: float = 0.03, tuned: float = 0.97, **changes: object) -> Material:
    """What a successful tuning leaves behind, changed as asked."""
    test = samples(drives)
    straight = [sample for sample in test if sample.label.kind == "straight"]
    found = Material(
        run="demo-0123456789",
        samples=(*test, *samples(4, "train")),
        predictions={"base": driven(test, base, seed=1), "tuned": driven(test, tuned, seed=2)},
        likelihoods={
            sample.id: Likelihood(id=sample.id, source="base", tokens=10, nll={"base": 5.0, "tuned": 5.1})
            for sample in straight
        },
        provenance={"base": {"uri": "file:///models/base", "digest": "ab" * 32}},
    )
    return dataclasses.replace(found, **changes)
