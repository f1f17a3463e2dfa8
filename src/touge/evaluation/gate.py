"""The gate `standard`: figures in, a verdict out. Nothing else decides whether a model may be promoted.

Reads the same figures that the report shows, so that every check can be recomputed from report.json. A check
that could not be measured is `null` and leaves the verdict open; one failed check fails the gate whatever is open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from touge.contract.report import Check, Verdict
from touge.evaluation.statistics import MIN_CLUSTERS

GAIN_BOUNDS = (0.8, 1.2)
CONSISTENCY_ENOUGH = 0.90
#: How much consistency may fall where the base is consistent already; the margin that false bends have.
CONSISTENCY_MARGIN = 0.05
#: How much the share of curves whose side is named may fall: a model that turns its words round is consistent, or no
#: less so than before, and wrong (docs/decisions/010).
DIRECTION_FALL = 0.05
COVERAGE_FALL = 0.02
STRAIGHT_ADE_3S_M = 0.10
STRAIGHT_ADE_RELATIVE = 0.10
FALSE_BEND_RISE = 0.05
COMFORT_FALL = 0.05
CROSS_ENTROPY_RISE = 0.05


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the gate looks at.

    Attributes:
        models: Figures of base and tuned as in the report: model -> bucket -> metric.
        paired: Differences tuned - base as in the report: bucket -> metric -> value, low, high, clusters.
        skipped: Windows of the test split without a prediction.
        tainted: Whether the training data holds contradictions on purpose.
    """

    models: Mapping[str, Mapping[str, Mapping[str, Any]]]
    paired: Mapping[str, Mapping[str, Mapping[str, Any]]]
    skipped: int
    tainted: bool

    def figure(self, model: str, bucket: str, metric: str) -> float | None:
        """Return a model's value in a bucket, or None where it was not measured."""
        found = self.models.get(model, {}).get(bucket, {}).get(metric)
        return None if found is None else found["value"]

    def change(self, bucket: str, metric: str, key: str = "value") -> float | None:
        """Return the value or a bound of a paired difference, or None where there is none."""
        found = self.paired.get(bucket, {}).get(metric)
        return None if found is None else found[key]


def standard(evidence: Evidence) -> Verdict:
    """Judge by the gate `standard`.

    Returns:
        passed False where a check fails, None where nothing fails but the data is too little (reason
        `insufficient_clusters`) or a check could not be measured (reason `not_measured`), else True.
    """
    statistical, clusters = tuple(_statistical(evidence)), _clusters(evidence)
    facts = tuple(_facts(evidence))
    if clusters < MIN_CLUSTERS:
        return _verdict(tuple(_open(check, clusters) for check in statistical) + facts, "insufficient_clusters")
    return _verdict(statistical + facts, "not_measured")


def _verdict(checks: tuple[Check, ...], open_reason: str) -> Verdict:
    if any(check.passed is False for check in checks):
        failed = ", ".join(check.name for check in checks if check.passed is False)
        return Verdict(passed=False, reason=f"failed: {failed}", checks=checks)
    if any(check.passed is None for check in checks):
        return Verdict(passed=None, reason=open_reason, checks=checks)
    return Verdict(passed=True, checks=checks)


def _facts(evidence: Evidence) -> Iterator[Check]:
    """Yield the checks that need no statistics."""
    yield Check(name="nothing_skipped", passed=evidence.skipped == 0, value=evidence.skipped, bound="= 0 windows")
    yield Check(
        name="data_not_tainted",
        passed=not evidence.tainted,
        value=float(evidence.tainted),
        bound="= 0",
        detail="curated with `contradictions: keep`; such a data set is never promoted" if evidence.tainted else "",
    )


def _statistical(evidence: Evidence) -> Iterator[Check]:
    """Yield the checks on measured figures."""
    yield _below("curve_ade_falls", evidence.change("curve", "ade_6.4", "high"), 0.0, "m: upper bound < 0", strict=True)
    yield from _gains(evidence)
    yield _consistency(evidence)
    named = evidence.change("curve", "right_direction", "low")
    yield _above("direction_kept", named, -DIRECTION_FALL, "lower bound >= -0.05")
    yield _above("coverage_kept", evidence.change("curve", "coverage"), -COVERAGE_FALL, "change >= -0.02")
    yield from _straight(evidence)


def _gains(evidence: Evidence) -> Iterator[Check]:
    low, high = GAIN_BOUNDS
    for side in ("left", "right"):
        change = evidence.change("curve", f"gain_error_{side}", "high")
        yield _below(f"gain_error_falls_{side}", change, 0.0, "|1 - gain|: upper bound < 0", strict=True)
        gain = evidence.figure("tuned", "curve", f"curvature_gain_{side}")
        yield _check(f"gain_{side}", gain, f"in [{low}, {high}]", _unbiased)


def _unbiased(gain: float) -> bool:
    return GAIN_BOUNDS[0] <= gain <= GAIN_BOUNDS[1]


def _consistency(evidence: Evidence) -> Check:
    """Consistency rises beyond its interval, or is not inferior where the base is consistent already."""
    lower = evidence.change("curve", "consistency", "low")
    if (evidence.figure("base", "curve", "consistency") or 0.0) >= CONSISTENCY_ENOUGH:
        return _above("consistency_not_inferior", lower, -CONSISTENCY_MARGIN, "lower bound >= -0.05 (base >= 0.90)")
    return _check("consistency_rises", lower, "lower bound > 0", lambda value: value > 0.0)


def _straight(evidence: Evidence) -> Iterator[Check]:
    change = evidence.change
    yield _below("straight_ade_3s", change("straight", "ade_3", "high"), STRAIGHT_ADE_3S_M, "m: upper bound <= 0.10")
    yield _below(
        "straight_ade_6.4s",
        change("straight", "ade_6.4_relative", "high"),
        STRAIGHT_ADE_RELATIVE,
        "relative: upper bound <= 0.10",
    )
    yield _below("straight_false_bend", change("straight", "false_bend"), FALSE_BEND_RISE, "change of share <= 0.05")
    yield _above("straight_comfort", _comfort(evidence), -COMFORT_FALL, "relative change of share >= -0.05")
    yield _below(
        "straight_reasoning_cross_entropy",
        change("straight", "reasoning_cross_entropy_relative"),
        CROSS_ENTROPY_RISE,
        "relative change <= 0.05",
    )


def _comfort(evidence: Evidence) -> float | None:
    """Return the relative change of comfort; a base without a comfortable rollout cannot be fallen behind."""
    if evidence.figure("base", "straight", "comfort") == 0.0:
        return 0.0
    return evidence.change("straight", "comfort_relative")


def _clusters(evidence: Evidence) -> int:
    """Return the clusters behind the two comparisons that carry the verdict, the fewer of them."""
    behind = [evidence.paired.get(bucket, {}).get("ade_6.4") for bucket in ("curve", "straight")]
    return min(0 if found is None else int(found["clusters"]) for found in behind)


def _open(check: Check, clusters: int) -> Check:
    detail = f"{clusters} clusters; a verdict needs {MIN_CLUSTERS}"
    return check.model_copy(update={"passed": None, "detail": detail})


def _below(name: str, value: float | None, limit: float, bound: str, *, strict: bool = False) -> Check:
    return _check(name, value, bound, lambda given: given < limit if strict else given <= limit)


def _above(name: str, value: float | None, limit: float, bound: str) -> Check:
    return _check(name, value, bound, lambda given: given >= limit)


def _check(name: str, value: float | None, bound: str, holds: Callable[[float], bool]) -> Check:
    if value is None:
        return Check(name=name, passed=None, value=None, bound=bound, detail="not measured")
    return Check(name=name, passed=holds(value), value=value, bound=bound)
