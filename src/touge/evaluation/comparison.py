"""The whole judgement as one pure function: samples and predictions in, figures, differences and a verdict out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from touge.contract.prediction import Prediction
from touge.contract.report import Report
from touge.contract.sample import Sample
from touge.evaluation.baselines import EgoMlp, constant_turn_rate, constant_velocity, straight_at_true_speed
from touge.evaluation.gate import Evidence, standard
from touge.evaluation.likelihood import Likelihood, terms
from touge.evaluation.scores import GAINS, Scores, score, score_silent, sum_of
from touge.evaluation.statistics import ratio
from touge.evaluation.summary import Summary
from touge.evaluation.swap import swap_test
from touge.evaluation.windows import Windows

Array = NDArray[np.float64]
Predictions = Mapping[str, Prediction]

BASE, TUNED = "base", "tuned"
#: What a cell of the left/right x radius matrix shows, beside the curvature gain of all its bends.
_CELL = ("ade@6.4", "under_turn", "lateral_outside", "consistency")


@dataclass(frozen=True, slots=True)
class Material:
    """What is judged.

    Attributes:
        run: Name for the report.
        samples: Rows of every split; only `test` is scored, `train` fits the ego-state baseline.
        predictions: Of `base` and `tuned`, and of other models that are shown and not judged; by sample id.
        swapped: Of base and tuned, driven from reasoning with left and right swapped; by sample id.
        likelihoods: Of the reasoning of straight windows, by sample id; empty where it was not measured.
        tainted: Whether the training data holds contradictions on purpose.
        provenance: What made the predictions: ids, digests, seeds, versions.
        seed: Of the resampling.
        notes: What a reader must know about the data before believing a figure.
    """

    run: str
    samples: tuple[Sample, ...]
    predictions: Mapping[str, Predictions]
    swapped: Mapping[str, Predictions] = field(default_factory=dict)
    likelihoods: Mapping[str, Likelihood] = field(default_factory=dict)
    tainted: bool = False
    provenance: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came out, with what pictures are drawn from.

    Attributes:
        report: `touge.report/1`.
        windows: The scored windows.
        scores: Model -> metric -> [N, 2].
        material: What was judged.
    """

    report: Report
    windows: Windows
    scores: Mapping[str, Scores]
    material: Material


def compare(material: Material) -> Comparison:
    """Judge predictions of base and tuned on the same windows.

    Raises:
        DataError: If there is no test window that both predicted.
    """
    windows = Windows.of(material.samples, list(material.predictions.values()))
    scores = _scores(material, windows)
    summary = Summary(windows.clusters, windows.buckets(), material.seed)
    models = {name: summary.figures(found) for name, found in scores.items()}
    paired = summary.changes(scores[BASE], scores[TUNED])
    report = Report.model_validate(
        {
            "schema": "touge.report/1",
            "run": material.run,
            "verdict": standard(Evidence(models, paired, len(windows.skipped), material.tainted)),
            "windows": windows.counts(),
            "models": models,
            "paired": paired,
            "provenance": dict(material.provenance),
            "split": "test",
            "clusters": {"kind": windows.clusters.kind, "count": windows.clusters.count},
            "labels": dict(Counter(sample.label.config for sample in windows.samples)),
            "rollouts": _rollouts(material, windows),
            "matrix": _matrix(scores, windows, summary),
            "swap": {
                name: swap_test(windows, material.predictions[name], driven, summary)
                for name, driven in material.swapped.items()
            },
            "skipped": list(windows.skipped),
            "tainted": material.tainted,
            "notes": list(material.notes),
        }
    )
    return Comparison(report, windows, scores, material)


def _scores(material: Material, windows: Windows) -> dict[str, Scores]:
    """Score every model, then every baseline."""
    scores = {name: score(windows, predictions) for name, predictions in material.predictions.items()}
    for name in (BASE, TUNED):
        measured = terms(windows, material.likelihoods, name)
        scores[name] = {**scores[name], "reasoning_cross_entropy": measured}
    return scores | {name: score_silent(windows, paths) for name, paths in _baselines(material, windows).items()}


def _baselines(material: Material, windows: Windows) -> dict[str, Array]:
    paths = {
        "constant_velocity": constant_velocity(windows.history),
        "constant_turn_rate": constant_turn_rate(windows.history),
        "straight_at_true_speed": straight_at_true_speed(windows.truth),
    }
    train = [sample for sample in material.samples if sample.split == "train"]
    if train:
        history, future = np.array([s.history for s in train]), np.array([s.future for s in train])
        paths["ego_mlp"] = EgoMlp.fit(history, future).predict(windows.history)
    return paths


def _rollouts(material: Material, windows: Windows) -> dict[str, list[int]]:
    """Return how many rollouts a window each model made, smallest and largest number."""
    counts = {
        name: [len(predictions[sample.id].rollouts) for sample in windows.samples]
        for name, predictions in material.predictions.items()
    }
    return {name: [min(found), max(found)] for name, found in counts.items()}


def _matrix(scores: Mapping[str, Scores], windows: Windows, summary: Summary) -> list[dict[str, Any]]:
    """Return one entry for each direction and radius band that occurs among the curve windows."""
    return [
        {
            "direction": direction,
            "radius_band": band,
            "windows": int(mask.sum()),
            "models": {name: _cell(scores[name], mask, summary) for name in (BASE, TUNED)},
        }
        for (direction, band), mask in windows.cells().items()
    ]


def _cell(scores: Scores, mask: NDArray[np.bool_], summary: Summary) -> dict[str, Any]:
    estimates = {metric: summary.estimate(scores[metric], mask, ratio) for metric in _CELL if metric in scores}
    if all(gain in scores for gain in GAINS):
        estimates["curvature_gain"] = summary.estimate(sum_of(scores, GAINS), mask, ratio)
    return {metric.replace("@", "_"): found.as_json() for metric, found in estimates.items() if found}
