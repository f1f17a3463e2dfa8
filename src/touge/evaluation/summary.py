"""Scores to figures: sums by cluster, an interval for every metric of every bucket, model by model and in pairs.

The shapes of the results are those of `touge.report/1`: nested by horizon in `models`, flat in `paired`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from touge.evaluation.clusters import Clusters
from touge.evaluation.scores import GAINS, Scores
from touge.evaluation.statistics import (
    Estimand,
    Interval,
    gain_error_change,
    interval,
    ratio,
    ratio_difference,
    relative_change,
    worse_gain,
    worse_gain_error_change,
)

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Figures = dict[str, dict[str, Any]]

#: Metrics whose change is also reported relative to the base.
_RELATIVE = ("ade@6.4", "comfort", "reasoning_cross_entropy")
#: The displacement errors whose changes are worth a line.
_PAIRED_HORIZONS = ("ade@1", "ade@3", "ade@5", "ade@6.4", "fde@6.4", "ade_medoid@6.4", "min_ade_6@6.4")


@dataclass(frozen=True, slots=True)
class Summary:
    """How windows are summed and resampled.

    Attributes:
        clusters: Cluster of each window.
        buckets: Windows of each bucket.
        seed: Of the resampling.
    """

    clusters: Clusters
    buckets: Mapping[str, Mask]
    seed: int

    def figures(self, scores: Scores) -> Figures:
        """Return bucket -> metric -> {value, low, high, clusters}, errors by horizon one level deeper."""
        return {name: self._bucket(scores, mask) for name, mask in self.buckets.items() if mask.any()}

    def changes(self, base: Scores, tuned: Scores) -> Figures:
        """Return bucket -> metric -> {value, low, high, clusters} of tuned - base on the same windows."""
        return {
            name: {metric: found.as_json() for metric, found in self._changes(base, tuned, mask)}
            for name, mask in self.buckets.items()
            if mask.any()
        }

    def estimate(self, terms: Array, mask: Mask, estimand: Estimand) -> Interval | None:
        """Estimate from terms [N, P] of the windows in `mask`; windows between two blocks are left out."""
        index = self.clusters.index
        kept = mask & (index >= 0)
        sums = np.zeros((self.clusters.count, terms.shape[1]))
        np.add.at(sums, index[kept], terms[kept])
        return interval(sums, estimand, seed=self.seed)

    def _bucket(self, scores: Scores, mask: Mask) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for metric, terms in scores.items():
            estimate = self.estimate(terms, mask, ratio)
            if estimate is None:
                continue
            name, _, horizon = metric.partition("@")
            if horizon:
                found.setdefault(name, {})[horizon] = estimate.as_json()
            else:
                found[name] = estimate.as_json()
        if all(gain in scores for gain in GAINS):
            pooled = self.estimate(np.hstack([scores[gain] for gain in GAINS]), mask, worse_gain)
            found |= {"curvature_gain": pooled.as_json()} if pooled else {}
        return found

    def _changes(self, base: Scores, tuned: Scores, mask: Mask) -> Iterator[tuple[str, Interval]]:
        for name, terms, estimand in _comparisons(base, tuned):
            if estimate := self.estimate(terms, mask, estimand):
                yield name, estimate


def _comparisons(base: Scores, tuned: Scores) -> Iterator[tuple[str, Array, Estimand]]:
    """Yield the name, terms and estimand of every comparison; `ade` is that over the whole horizon."""
    for metric in sorted(set(base) & set(tuned)):
        if "@" in metric and metric not in _PAIRED_HORIZONS:
            continue
        terms, name = np.hstack([base[metric], tuned[metric]]), metric.replace("@", "_")
        yield name, terms, ratio_difference
        if metric == "ade@6.4":
            yield "ade", terms, ratio_difference
        if metric in _RELATIVE:
            yield f"{name}_relative", terms, relative_change
        if metric in GAINS:
            yield f"gain_error_{metric.removeprefix('curvature_gain_')}", terms, gain_error_change
    if all(gain in base and gain in tuned for gain in GAINS):
        both = np.hstack([*(base[gain] for gain in GAINS), *(tuned[gain] for gain in GAINS)])
        yield "gain_error", both, worse_gain_error_change
