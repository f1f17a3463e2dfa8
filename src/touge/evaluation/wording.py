"""What figures and checks are called on the page, and how their values are written. It has no numbers of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Unit = Literal["metres", "share", "ratio", "nats", "count"]

MODEL_NAMES = {
    "base": "Before (base)",
    "tuned": "After (tuned)",
    "tuned_nf4": "After, as trained (NF4)",
    "constant_velocity": "Constant velocity",
    "constant_turn_rate": "Constant turn rate",
    "straight_at_true_speed": "Straight, true speed",
    "ego_mlp": "Ego-state MLP",
}
CLUSTER_NAMES = {
    "drive": "drives",
    "clip": "clips (the data set does not say which clips are of one drive)",
    "block_60s": "60 s blocks, 8 s apart, within one drive: they say nothing about another drive",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: a metric of the report under the name that people read."""

    metric: str
    title: str
    unit: Unit
    better: Literal["lower", "higher", "one"]
    hint: str = ""

    @property
    def paired(self) -> str:
        """The name of its change in `paired`."""
        return self.metric.replace("@", "_")


CURVE_ROWS = (
    Row("curvature_gain_left", "Curvature gain, left", "ratio", "one", "share of the bend that is driven; 1 = no bias"),
    Row("curvature_gain_right", "Curvature gain, right", "ratio", "one", "at equal arc length"),
    Row("right_direction", "Says the right direction", "share", "higher", "of all rollouts"),
    Row("consistency", "Does what it says", "share", "higher", "match / (match + mismatch)"),
    Row("coverage", "Says something testable", "share", "higher", "(match + mismatch) / all"),
    Row("ade@6.4", "ADE at 6.4 s", "metres", "lower", "mean of all rollouts; this is gated"),
    Row("ade@3", "ADE at 3 s", "metres", "lower"),
    Row("fde@6.4", "FDE at 6.4 s", "metres", "lower"),
    Row("ade_medoid@6.4", "ADE at 6.4 s, medoid", "metres", "lower", "the rollout in the middle"),
    Row("min_ade_6@6.4", "minADE6 at 6.4 s", "metres", "lower", "best of six: hides bias"),
    Row("under_turn", "Under-turns", "share", "lower", "turns less than half as far as the road"),
    Row("lateral_outside", "Off towards the outside", "metres", "lower", "where the bend ends, at equal arc length"),
    Row("lateral_inside", "Off towards the inside", "metres", "lower"),
    Row("comfort", "Comfortable", "share", "higher", "within nuPlan's bounds"),
)
STRAIGHT_ROWS = (
    Row("ade@3", "ADE at 3 s", "metres", "lower", "mean of all rollouts"),
    Row("ade@6.4", "ADE at 6.4 s", "metres", "lower"),
    Row("false_bend", "False bend", "share", "lower", "heading leaves the road by more than 10°"),
    Row("comfort", "Comfortable", "share", "higher"),
    Row(
        "reasoning_cross_entropy", "Reasoning, cross-entropy", "nats", "lower", "of data-set or base text, nats a token"
    ),
    Row("consistency", "Does what it says", "share", "higher"),
)

CHECKS: Mapping[str, tuple[str, Unit]] = {
    "curve_ade_falls": ("Curves: ADE at 6.4 s falls", "metres"),
    "gain_error_falls_left": ("Left: |1 − gain| falls", "ratio"),
    "gain_error_falls_right": ("Right: |1 − gain| falls", "ratio"),
    "gain_left": ("Left: curvature gain", "ratio"),
    "gain_right": ("Right: curvature gain", "ratio"),
    "consistency_rises": ("Consistency rises", "share"),
    "consistency_not_inferior": ("Consistency is not inferior", "share"),
    "direction_kept": ("Named directions stay right", "share"),
    "coverage_kept": ("Coverage is kept", "share"),
    "straight_ade_3s": ("Straight: ADE at 3 s", "metres"),
    "straight_ade_6.4s": ("Straight: ADE at 6.4 s", "share"),
    "straight_false_bend": ("Straight: false bends", "share"),
    "straight_comfort": ("Straight: comfort", "share"),
    "straight_reasoning_cross_entropy": ("Straight: reasoning's cross-entropy", "share"),
    "nothing_skipped": ("Nothing was skipped", "count"),
    "data_not_tainted": ("Data is not tainted", "count"),
}

_MARKS = {True: "pass", False: "fail", None: "open"}


def mark(passed: bool | None) -> str:  # noqa: FBT001 - the three states of a check
    """Return pass, fail or open."""
    return _MARKS[passed]


def written(value: float | None, unit: Unit, *, signed: bool = False) -> str:
    """Return a value as people read it, with a true minus sign; an en dash where there is none."""
    if value is None:
        return "–"
    sign = "+" if signed else ""
    shown = {"share": f"{100 * value:{sign}.1f}%", "count": f"{value:{sign}.0f}"}
    text = shown.get(unit, f"{value:{sign}.2f}")
    return text.replace("-", "\N{MINUS SIGN}")


def spread(figure: Mapping[str, Any] | None, unit: Unit, *, signed: bool = False) -> str:
    """Return an interval as `low … high`, or nothing where there is none."""
    if not figure or figure["low"] is None:
        return ""
    return f"{written(figure['low'], unit, signed=signed)} … {written(figure['high'], unit, signed=signed)}"


def lookup(models: Mapping[str, Any], model: str, bucket: str, metric: str) -> Mapping[str, Any] | None:
    """Return {value, low, high, clusters} of a metric written `name` or `name@horizon`, if it was measured."""
    name, _, horizon = metric.partition("@")
    found = models.get(model, {}).get(bucket, {}).get(name)
    return found.get(horizon) if found and horizon else found
