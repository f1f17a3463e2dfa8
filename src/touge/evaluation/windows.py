"""The windows that are scored, as arrays beside their samples, and which bucket each belongs to.

Only the test split is ever scored; a window that some model has no prediction for is left out and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from touge.contract.errors import DataError
from touge.contract.prediction import Prediction
from touge.contract.sample import Sample
from touge.evaluation.clusters import Clusters, cluster
from touge.motion.labels import report_bucket

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Windows:
    """N scored windows.

    Attributes:
        samples: The rows, in the order of all arrays.
        history: [N, 16, 4] x, y, z, yaw.
        truth: [N, 64, 3] x, y, yaw.
        clusters: What may be resampled.
        skipped: Ids of test windows that are not scored, for want of a prediction.
    """

    samples: tuple[Sample, ...]
    history: Array
    truth: Array
    clusters: Clusters
    skipped: tuple[str, ...]

    @classmethod
    def of(cls, samples: Sequence[Sample], predicted: Sequence[Mapping[str, Prediction]]) -> Windows:
        """Choose the test windows that every model has a prediction for.

        Raises:
            DataError: If the test split is empty, or nothing is predicted.
        """
        test = [sample for sample in samples if sample.split == "test"]
        if not test:
            raise DataError(f"no test window among {len(samples)} samples; only the split `test` is scored")
        scored = tuple(sample for sample in test if all(sample.id in model for model in predicted))
        if not scored:
            raise DataError(f"none of {len(test)} test windows has a prediction by every model; are the ids the same?")
        skipped = {sample.id for sample in test} - {sample.id for sample in scored}
        return cls(
            samples=scored,
            history=np.array([sample.history for sample in scored]),
            truth=np.array([sample.future for sample in scored]),
            clusters=cluster(scored),
            skipped=tuple(sorted(skipped)),
        )

    def buckets(self) -> dict[str, Mask]:
        """Return the windows of each bucket: `all`, `curve`, `curve_left`, `curve_right`, then by kind."""
        bucket = np.array([report_bucket(sample.label) for sample in self.samples])
        direction = np.array([sample.label.direction for sample in self.samples])
        masks = {
            "all": np.full(len(bucket), fill_value=True),
            "curve": bucket == "curve",
            "straight": bucket == "straight",
        }
        for side in ("left", "right"):
            masks[f"curve_{side}"] = masks["curve"] & (direction == side)
        return masks | {name: bucket == name for name in sorted(set(bucket) - {"curve", "straight"})}

    def cells(self) -> dict[tuple[str, str], Mask]:
        """Return the curve windows of each direction and radius band that occurs."""
        curve = self.buckets()["curve"]
        keys = [(sample.label.direction, sample.label.radius_band) for sample in self.samples]
        names = sorted({key for key, bends in zip(keys, curve, strict=True) if bends})
        return {name: curve & np.array([key == name for key in keys]) for name in names}

    def counts(self) -> dict[str, int]:
        """Return how many windows are in each bucket, were skipped, or lie between two blocks."""
        counts = {name: int(mask.sum()) for name, mask in self.buckets().items()}
        between = int((self.clusters.index < 0).sum())
        return counts | {"skipped": len(self.skipped), "between_blocks": between}


def rollouts_of(prediction: Prediction) -> Array:
    """Return the trajectories of a prediction, [K, 64, 3]."""
    return np.array([rollout.trajectory for rollout in prediction.rollouts])


def label_definitions(samples: Sequence[Sample]) -> dict[str, int]:
    """Return how many windows each label definition named: figures are comparable within one only."""
    return dict(Counter(sample.label.config for sample in samples))
