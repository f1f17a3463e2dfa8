"""Displacement errors of K rollouts against the driven path: where the car would be, speed and shape mixed.

Shapes: K rollouts, T = 64 steps of 0.1 s; poses x, y, yaw in metres and radians, ego frame at t0.
Four ways to make one number of K rollouts, named apart because they hide different things: the mean (gated),
the first, the medoid, the best of six (which hides bias: one lucky rollout is enough).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Horizon in seconds, as written in reports -> steps.
HORIZONS = {"1": 10, "3": 30, "5": 50, "6.4": 64}
#: Alpamayo's own metric is minADE over six samples (arXiv 2511.00088, model card of Alpamayo-R1-10B).
BEST_OF = 6


def displacement(rollouts: Array, truth: Array) -> dict[str, float]:
    """Return the errors of one window in metres, keyed `metric@horizon`.

    ADE is the mean L2 distance over the steps up to a horizon, FDE the distance at it (Alahi et al. 2016,
    doi:10.1109/CVPR.2016.110). The best rollout is the one with the smallest ADE over the whole horizon, at
    every horizon the same one (as in NVlabs/alpamayo); with fewer than six rollouts it is the best of those.

    Args:
        rollouts: [K, T, 3].
        truth: [T, 3].
    """
    distance = np.linalg.norm(rollouts[..., :2] - truth[:, :2], axis=-1)
    center = medoid(rollouts)
    best = int(np.argmin(distance[:BEST_OF].mean(axis=1)))
    errors = {}
    for horizon, steps in HORIZONS.items():
        ade = distance[:, :steps].mean(axis=1)
        errors[f"ade@{horizon}"] = float(ade.mean())
        errors[f"fde@{horizon}"] = float(distance[:, steps - 1].mean())
        errors[f"ade_sample0@{horizon}"] = float(ade[0])
        errors[f"ade_medoid@{horizon}"] = float(ade[center])
        errors[f"min_ade_6@{horizon}"] = float(ade[best])
    return errors


def medoid(rollouts: Array) -> int:
    """Return the index of the rollout [K, T, 3] with the smallest mean distance to all others."""
    xy = rollouts[..., :2]
    between = np.linalg.norm(xy[:, None] - xy[None], axis=-1).mean(axis=-1)
    return int(np.argmin(between.sum(axis=1)))
