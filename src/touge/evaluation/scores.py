"""From predictions to figures' raw material: for every metric a numerator and a denominator a window.

Every metric is a ratio of two sums over windows, so that means, shares and the slope of curvature gain are
summed by drive and judged by one method (`statistics`).

Shapes: N windows, K rollouts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from touge.contract.prediction import Prediction
from touge.evaluation.bend import false_bends, heading_changes, lateral_errors, stretches
from touge.evaluation.comfort import comfortable
from touge.evaluation.consistency import Tally, tally
from touge.evaluation.displacement import displacement
from touge.evaluation.windows import Windows, rollouts_of
from touge.motion.labels import Direction, Kind

Array = NDArray[np.float64]
Term = tuple[float, float]
#: metric -> [N, 2] numerators and denominators; 0, 0 where a metric has nothing to say of a window.
Scores = Mapping[str, Array]

GAIN_OF = {Direction.LEFT: "curvature_gain_left", Direction.RIGHT: "curvature_gain_right"}
GAINS = tuple(GAIN_OF.values())


def score(windows: Windows, predictions: Mapping[str, Prediction]) -> Scores:
    """Score one model's predictions of all windows."""
    rows = []
    for sample, truth in zip(windows.samples, windows.truth, strict=True):
        prediction = predictions[sample.id]
        paths = rollouts_of(prediction)
        rows.append(score_paths(sample.label.kind, paths, truth) | _spoken(tally(prediction.rollouts, sample)))
    return _table(rows)


def score_silent(windows: Windows, paths: Array) -> Scores:
    """Score a baseline that says nothing, from its paths [N, 64, 3]."""
    kinds = [sample.label.kind for sample in windows.samples]
    triples = zip(kinds, paths, windows.truth, strict=True)
    return _table([score_paths(kind, path[None], truth) for kind, path, truth in triples])


def score_paths(kind: str, rollouts: Array, truth: Array) -> dict[str, Term]:
    """Return the terms of one window that come from its K paths [K, 64, 3] alone."""
    terms: dict[str, Term] = {name: (value, 1.0) for name, value in displacement(rollouts, truth).items()}
    terms["comfort"] = _share(comfortable(rollouts))
    if kind == Kind.STRAIGHT:
        terms["false_bend"] = _share(false_bends(rollouts))
    return terms | _bend(kind, rollouts, truth)


def _bend(kind: str, rollouts: Array, truth: Array) -> dict[str, Term]:
    """Return gain as the terms of a least-squares slope through the origin: sum xy / sum xx."""
    bends = stretches(kind, truth)
    if not bends:
        return {}
    changes = list(heading_changes(rollouts, truth, bends))
    terms: dict[str, Term] = {"under_turn": _share([change.under_turn for change in changes])}
    for direction, name in GAIN_OF.items():
        side = [change for change in changes if change.direction == direction]
        terms[name] = (
            math.fsum(change.truth * change.predicted for change in side) / len(rollouts),
            math.fsum(change.truth**2 for change in side) / len(rollouts),
        )
    errors = lateral_errors(rollouts, truth, bends[0])
    terms["lateral_error"] = (float(errors.mean()), 1.0)
    terms["lateral_inside"] = (float(np.maximum(errors, 0.0).mean()), 1.0)
    terms["lateral_outside"] = (float(np.maximum(-errors, 0.0).mean()), 1.0)
    return terms


def _spoken(found: Tally) -> dict[str, Term]:
    terms: dict[str, Term] = {
        "consistency": (float(found.match), float(found.match + found.mismatch)),
        "coverage": (float(found.match + found.mismatch), float(found.rollouts)),
    }
    if found.right_direction is not None:
        terms["right_direction"] = (float(found.right_direction), float(found.rollouts))
    return terms


def sum_of(scores: Scores, metrics: Sequence[str]) -> Array:
    """Return the terms [N, 2] of a ratio over several metrics together."""
    return np.sum([scores[metric] for metric in metrics], axis=0)


def _share(hits: Iterable[bool] | NDArray[np.bool_]) -> Term:
    """Return hits and cases as parts of one window, so that every window weighs the same."""
    cases = list(hits)
    return (sum(map(float, cases)) / len(cases), 1.0) if cases else (0.0, 0.0)


def _table(rows: Sequence[Mapping[str, Term]]) -> Scores:
    names = sorted({name for row in rows for name in row})
    return {name: np.array([row.get(name, (0.0, 0.0)) for row in rows], dtype=np.float64) for name in names}
