"""The report as one page: figures, pictures and words put into a template; needs no network to be opened.

Knows nothing of how figures are made. Every number on the page is one of report.json.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jinja2
import numpy as np

from touge.contract.report import Check, Report
from touge.contract.sample import Sample
from touge.evaluation.bend import heading_changes, stretches
from touge.evaluation.comparison import BASE, TUNED, Comparison
from touge.evaluation.consistency import verdict_of
from touge.evaluation.drawing import BASE as BASE_COLOUR
from touge.evaluation.drawing import OTHER, TRUTH, Bar, Stroke, bars, birdseye, curves, over_picture, scatter
from touge.evaluation.drawing import TUNED as TUNED_COLOUR
from touge.evaluation.gallery import Pick
from touge.evaluation.overlay import drawable, project
from touge.evaluation.windows import rollouts_of
from touge.evaluation.wording import (
    CHECKS,
    CLUSTER_NAMES,
    CURVE_ROWS,
    MODEL_NAMES,
    STRAIGHT_ROWS,
    Row,
    lookup,
    mark,
    spread,
    written,
)

COLOURS = {BASE: BASE_COLOUR, TUNED: TUNED_COLOUR}
_LOSSES = {"reasoning": "#6a3d9a", "trajectory_tokens": "#33a02c", "trajectory": TUNED_COLOUR}
_LOSS_NAMES = {"reasoning": "reasoning", "trajectory_tokens": "trajectory tokens", "trajectory": "trajectory (flow)"}
#: Points of the scatter drawn of each model; more would only hide one another.
_DOTS = 1200


def render(
    comparison: Comparison, picks: Sequence[Pick], frames: Mapping[str, bytes], losses: Sequence[Mapping[str, Any]]
) -> str:
    """Return report.html.

    Args:
        comparison: What came out.
        picks: Windows to show one by one.
        frames: JPEG or PNG of the picked windows' frame at t0, by sample id, where there is one.
        losses: Rows of the training's metrics.jsonl; empty where the training is not known.
    """
    report = comparison.report
    return _template().render(
        report=report,
        mark=mark(report.verdict.passed),
        headline=_headline(report),
        cards=list(_cards(report)),
        checks=[_check(check) for check in report.verdict.checks],
        tables=[_table(report, "curve", CURVE_ROWS), _table(report, "straight", STRAIGHT_ROWS)],
        models=[name for name in MODEL_NAMES if name in report.models],
        names=MODEL_NAMES,
        scatter=_scatter(comparison),
        bars={bucket: _bars(report, bucket) for bucket in ("curve", "straight")},
        matrix=_matrix(report),
        windows=[_window(comparison, pick, frames) for pick in picks],
        loss=_loss(losses),
        swaps=list(_swaps(report)),
        clusters=CLUSTER_NAMES[_extra(report, "clusters")["kind"]],
        extra=report.model_extra or {},
        provenance=list(_flat(report.provenance)),
        colours={"base": BASE_COLOUR, "tuned": TUNED_COLOUR, "truth": TRUTH},
    )


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    loader = jinja2.PackageLoader("touge.evaluation")
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.get_template("report.html")


def _extra(report: Report, key: str) -> Any:
    return (report.model_extra or {})[key]


def _headline(report: Report) -> str:
    """Return the finding in one sentence."""
    said = [_percent(report, model, "right_direction") for model in (BASE, TUNED)]
    driven = [_percent(report, model, "curvature_gain") for model in (BASE, TUNED)]
    clusters = _extra(report, "clusters")
    kind = {"drive": "drives", "clip": "clips", "block_60s": "blocks"}[clusters["kind"]]
    return (
        f"On {report.windows.get('curve', 0)} held-out curve windows of {clusters['count']} {kind}, the base model "
        f"names the right direction in {said[0]} of its rollouts and drives {driven[0]} of the bend on its worse side; "
        f"the tuned model {said[1]} and {driven[1]}."
    )


def _percent(report: Report, model: str, metric: str) -> str:
    """Return a share of curve windows in whole percent."""
    found = lookup(report.models, model, "curve", metric)
    return "–" if found is None else f"{100 * found['value']:.0f}%".replace("-", "\N{MINUS SIGN}")


@dataclass(frozen=True, slots=True)
class Card:
    """A figure large enough to be read from across a room."""

    title: str
    before: str
    after: str
    note: str


def _cards(report: Report) -> Iterator[Card]:
    shown = [
        (
            Row("curvature_gain_left", "Left bends driven", "ratio", "one"),
            "curve",
            "curvature gain; 1 = the whole bend",
        ),
        (
            Row("curvature_gain_right", "Right bends driven", "ratio", "one"),
            "curve",
            "curvature gain; 1 = the whole bend",
        ),
        (Row("consistency", "Does what it says", "share", "higher"), "curve", "reasoning against trajectory, curves"),
        (Row("ade@6.4", "Error on curves", "metres", "lower"), "curve", "ADE at 6.4 s, metres, mean of rollouts"),
        (Row("ade@6.4", "Error on straights", "metres", "lower"), "straight", "ADE at 6.4 s, metres, mean of rollouts"),
    ]
    for row, bucket, note in shown:
        values = [lookup(report.models, model, bucket, row.metric) for model in (BASE, TUNED)]
        before, after = (written(found["value"] if found else None, row.unit) for found in values)
        yield Card(row.title, before, after, note)


def _check(check: Check) -> dict[str, str]:
    title, unit = CHECKS.get(check.name, (check.name, "ratio"))
    return {
        "mark": mark(check.passed),
        "title": title,
        "value": written(check.value, unit),
        "bound": check.bound.replace("-0", "\N{MINUS SIGN}0"),
        "detail": check.detail,
    }


def _table(report: Report, bucket: str, rows: Sequence[Row]) -> dict[str, Any]:
    models = [name for name in MODEL_NAMES if name in report.models]
    lines = []
    for row in rows:
        found = {model: lookup(report.models, model, bucket, row.metric) for model in models}
        if any(found.values()):
            lines.append(_line(row, found, report.paired.get(bucket, {}).get(row.paired)))
    return {"bucket": bucket, "windows": report.windows.get(bucket, 0), "lines": lines}


def _line(row: Row, found: Mapping[str, Any], change: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "row": row,
        "cells": [
            {"value": written(figure["value"] if figure else None, row.unit), "spread": spread(figure, row.unit)}
            for figure in found.values()
        ],
        "change": written(change["value"] if change else None, row.unit, signed=True),
        "spread": spread(change, row.unit, signed=True),
        "trend": _trend(row, found, change),
    }


def _trend(row: Row, found: Mapping[str, Any], change: Mapping[str, Any] | None) -> str:
    """Return better, worse or even: only a change whose interval leaves out zero is called either."""
    if not change or change["low"] is None or change["low"] <= 0.0 <= change["high"]:
        return "even"
    if row.better == "one":
        before, after = (abs(1.0 - found[model]["value"]) for model in (BASE, TUNED))
        return "better" if after < before else "worse"
    return "better" if (change["value"] > 0) == (row.better == "higher") else "worse"


def _bars(report: Report, bucket: str) -> str | None:
    rows = []
    for model, name in MODEL_NAMES.items():
        if figure := lookup(report.models, model, bucket, "ade@6.4"):
            colour = COLOURS.get(model, OTHER)
            rows.append(Bar(name, figure["value"], figure["low"], figure["high"], colour))
    return bars(rows, unit="m") if rows else None


def _scatter(comparison: Comparison) -> str | None:
    """Return predicted against true heading change of every bend and rollout."""
    groups = {colour: _pairs(comparison, model) for model, colour in COLOURS.items()}
    if not any(len(points) for points in groups.values()):
        return None
    everything = np.abs(np.concatenate(list(groups.values())))
    return scatter(groups, limit=max(10.0, float(np.percentile(everything, 99.5)) * 1.05))


def _pairs(comparison: Comparison, model: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    pairs = []
    for sample, truth in zip(comparison.windows.samples, comparison.windows.truth, strict=True):
        if bends := stretches(sample.label.kind, truth):
            paths = rollouts_of(comparison.material.predictions[model][sample.id])
            pairs += [(change.truth, change.predicted) for change in heading_changes(paths, truth, bends)]
    points = np.degrees(np.array(pairs).reshape(-1, 2))
    return points[:: max(1, len(points) // _DOTS)]


def _swaps(report: Report) -> Iterator[str]:
    """Yield what the swap test says, a sentence a model."""
    for model, found in _extra(report, "swap").items():
        shift, jitter = found["shift_deg"], found["jitter_deg"]
        if shift:
            beside = f"; sampling again alone moves it by {jitter['value']:.1f}°" if jitter else ""
            yield (
                f"Swap test, {MODEL_NAMES[model].lower()}: with left and right swapped in the reasoning of "
                f"{found['windows']} curve windows, the heading at the end moves by {shift['value']:.1f}° towards the "
                f"new words{beside}.".replace("-", "\N{MINUS SIGN}")
            )


def _matrix(report: Report) -> dict[str, Any]:
    """Return bands by direction, tightest first, each cell with its count and both gains."""
    cells = _extra(report, "matrix")
    bands = sorted({cell["radius_band"] for cell in cells}, key=lambda band: float(band.split("-")[0].strip("<") or 0))
    found = {(cell["direction"], cell["radius_band"]): cell for cell in cells}
    rows = [[_cell(found.get((side, band))) for band in bands] for side in ("left", "right")]
    return {"bands": bands, "rows": list(zip(("left", "right"), rows, strict=True))}


def _cell(cell: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if cell is None:
        return None
    gains = [cell["models"][model].get("curvature_gain") for model in (BASE, TUNED)]
    errors = [cell["models"][model].get("ade_6.4") for model in (BASE, TUNED)]
    tint = 0.0 if gains[1] is None else min(1.0, abs(1.0 - gains[1]["value"]))
    return {
        "windows": cell["windows"],
        "gains": [written(gain["value"] if gain else None, "ratio") for gain in gains],
        "errors": [written(error["value"] if error else None, "metres") for error in errors],
        "tint": f"rgba(213, 94, 0, {0.55 * tint:.2f})" if tint > 0.2 else f"rgba(0, 114, 178, {0.28 - tint:.2f})",
    }


def _window(comparison: Comparison, pick: Pick, frames: Mapping[str, bytes]) -> dict[str, Any]:
    """Return one window of the gallery: paths on the frame and from above, and who said what."""
    sample, truth = comparison.windows.samples[pick.index], comparison.windows.truth[pick.index]
    strokes = [
        Stroke(path[:, :2], COLOURS[model], 1.6, 0.75)
        for model in (BASE, TUNED)
        for path in rollouts_of(comparison.material.predictions[model][sample.id])
    ]
    strokes.append(Stroke(truth[:, :2], TRUTH, 2.2, dashed=True))
    return {
        "why": pick.why,
        "sample": sample,
        "above": birdseye(strokes),
        "picture": _picture(sample, strokes, frames.get(sample.id)),
        "said": [_said(comparison, model, pick.index) for model in (BASE, TUNED)],
    }


def _said(comparison: Comparison, model: str, index: int) -> dict[str, Any]:
    sample = comparison.windows.samples[index]
    first = comparison.material.predictions[model][sample.id].rollouts[0]
    return {
        "model": model,
        "text": first.reasoning,
        "outcome": verdict_of(first, sample).replace("_", " "),
        "ade": written(float(comparison.scores[model]["ade@6.4"][index, 0]), "metres"),
    }


def front_camera(sample: Sample) -> str | None:
    """Return the camera whose frame is shown: front_wide, else the first that the window has."""
    return "front_wide" if "front_wide" in sample.images else next(iter(sample.images), None)


def _picture(sample: Sample, strokes: Sequence[Stroke], frame: bytes | None) -> str | None:
    camera = sample.cameras.get(front_camera(sample) or "")
    if frame is None:
        return None
    kind = "png" if frame.startswith(b"\x89PNG") else "jpeg"
    source = f"data:image/{kind};base64,{base64.b64encode(frame).decode()}"
    if camera is None or not drawable(camera):
        return over_picture(source, 16, 9, [])
    scale = camera.width / 640
    placed = [
        Stroke(project(stroke.points, camera), stroke.colour, 2.4 * scale, stroke.opacity, dashed=stroke.dashed)
        for stroke in strokes
    ]
    halo = Stroke(placed[-1].points, "#ffffff", 4.5 * scale, 0.85)
    placed = [*placed[:-1], halo, placed[-1]]
    return over_picture(source, camera.width, camera.height, placed)


def _loss(losses: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the parts of the training loss by step, each averaged over a few steps so that a line can be seen."""
    lines = {}
    for key, name in _LOSS_NAMES.items():
        points = np.array([(row["step"], row[key]) for row in losses if row.get(key)], dtype=np.float64)
        if len(points):
            lines[name] = _averaged(points)
    colours = {_LOSS_NAMES[key]: colour for key, colour in _LOSSES.items()}
    return curves(lines, colours) if lines else None


def _averaged(points: np.ndarray[Any, np.dtype[np.float64]], lines: int = 200) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([chunk.mean(axis=0) for chunk in np.array_split(points, min(lines, len(points)))])


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield dotted names and values of nested provenance."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
