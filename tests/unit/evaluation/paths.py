"""Builders of paths, samples and predictions with known answers."""

from __future__ import annotations

import numpy as np

from touge.contract.prediction import Prediction, Rollout
from touge.contract.sample import ImageRef, Label, Provenance, Reasoning, Sample

STEPS = 64


def arc(radius: float, speed: float = 10.0, steps: int = STEPS) -> np.ndarray:
    """A path [T, 3] on a circle; left for a positive radius; the straight line for infinity."""
    s = speed * 0.1 * np.arange(1, steps + 1)
    yaw = s / radius
    chord = s * np.sinc(yaw / (2 * np.pi))
    return np.stack([chord * np.cos(yaw / 2), chord * np.sin(yaw / 2), yaw], axis=-1)


def s_curve(radius: float, speed: float = 10.0) -> np.ndarray:
    """A path that bends left for the first half and right for the second."""
    kappa = np.where(np.arange(STEPS) < STEPS // 2, 1 / radius, -1 / radius)
    yaw = np.cumsum(kappa * speed * 0.1)
    middle = yaw - kappa * speed * 0.05
    xy = np.cumsum(speed * 0.1 * np.stack([np.cos(middle), np.sin(middle)], axis=-1), axis=0)
    return np.column_stack([xy, yaw])


def history(speed: float = 10.0, yaw_rate: float = 0.0) -> np.ndarray:
    """Poses [16, 4] that end at t0 at constant speed and yaw rate."""
    t = 0.1 * np.arange(-15, 1)
    yaw = yaw_rate * t
    chord = speed * t * np.sinc(yaw / (2 * np.pi))
    return np.stack([chord * np.cos(yaw / 2), chord * np.sin(yaw / 2), np.zeros_like(t), yaw], axis=-1)


def make_sample(
    future: np.ndarray,
    *,
    drive: str = "d0",
    t0_us: int = 0,
    kind: str = "curve",
    direction: str = "left",
    band: str = "60-100",
    split: str = "test",
    reasoning: str | None = None,
    reader: str = "table",
    past: np.ndarray | None = None,
) -> Sample:
    """A sample with one camera whose frames lie nowhere."""
    frames = tuple(ImageRef(path=f"images.tar#{drive}-{t0_us}-{i}.jpg", t_us=t0_us, sha256="0" * 64) for i in range(4))
    return Sample(
        id=f"{drive}@{t0_us}",
        drive=drive,
        t0_us=t0_us,
        images={"front_wide": frames},
        history=tuple(map(tuple, history() if past is None else past)),
        future=tuple(map(tuple, future)),
        reasoning=None if reasoning is None else Reasoning(text=reasoning, language="en", source="dataset"),
        label=Label(config="jp-2026.1", kind=kind, direction=direction, radius_band=band),
        split=split,
        provenance=Provenance(reader=reader, uri="file:///x", sha256="0" * 64),
    )


def make_prediction(sample: Sample, paths: list[np.ndarray], text: str = "Keep lane.") -> Prediction:
    """A prediction whose rollouts all say `text`."""
    rollouts = tuple(Rollout(reasoning=text, trajectory=tuple(map(tuple, path))) for path in paths)
    return Prediction(id=sample.id, rollouts=rollouts)
