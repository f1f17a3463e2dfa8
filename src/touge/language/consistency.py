"""Whether a trajectory does what the words say: match, mismatch, or nothing that could be judged.

After `claims`, for curation (is the recorded future what the text says?) and evaluation (does the model drive as it
reasons?). It judges shape alone: neither speed nor cause. Words that name somebody else never get here.

Rules (design, proof):
- **curve, turn**: the path bends to that side by at least max(0.05 rad, 0.0022 s) over an arc length s: that of the
  whole path, or of one lobe, so that each half of an S-curve counts. For a bend at the end of a long straight a stretch
  of a lobe is enough where it turns by 0.10 rad, the smallest curve of jp-2026.1. A path that bends both ways answers
  to its first and to its largest bend. If neither the prediction nor the truth bends, the curve lies beyond the
  horizon: no claim.
- **several curves** ("left then right"): in this order; those that neither path reaches are not asked for. A lobe of
  0.07 rad, the smallest of an S-curve in jp-2026.1, counts here, too.
- **straight**: the path bends to neither side.
- **nudge, lane change**: the offset from the curvature-compensated path reaches 0.2 m or 1.5 m to that side, or
  jp-2026.1 calls the path a lane change to that side. Marked approximate: there is no map. On a bend an offset that is
  not clearly to the wrong side says nothing, and one beyond a lane's width is an S-curve of the road.
- **keep lane**: no claim; only a map tells whether the lane was kept, and counting it would praise what is said most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

import numpy as np
import numpy.typing as npt

from touge.language.claim import Claim, ClaimKind
from touge.language.claims import claims
from touge.motion.arclength import Profile, profile, track
from touge.motion.jp_2026_1 import CURVE_RANGE, S_CURVE_LOBE, Jp20261
from touge.motion.labels import Direction, Kind, direction_of
from touge.motion.lateral import compensated_offset
from touge.motion.lobes import Lobe, lobes_of

#: Least heading change of a bend, radians, and least mean curvature over its length, 1/m (a radius of 460 m, the
#: gentlest band of jp-2026.1).
BEND_HEADING = 0.05
BEND_CURVATURE = 0.0022
#: The same of a bend that is only a stretch of its lobe, radians.
STRETCH_HEADING = CURVE_RANGE
#: Offsets that count as the manoeuvre, metres: thresholds of a public study of 2,000 Alpamayo-R1 clips
#: (sabdulmajid), there in the ego frame, here against the compensated path.
LEAST_OFFSET = {ClaimKind.NUDGE: 0.2, ClaimKind.LANE_CHANGE: 1.5}
#: Beyond this an offset is the road's, not the driver's (lane change of jp-2026.1), metres.
LARGEST_OFFSET = 4.5
_BENDING = frozenset({ClaimKind.CURVE, ClaimKind.TURN})


class Verdict(StrEnum):
    """How words and trajectory go together."""

    MATCH = "match"
    MISMATCH = "mismatch"
    NO_CLAIM = "no_claim"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, and whether it is approximate for want of a map."""

    verdict: Verdict
    approximate: bool = False


def judge_text(text: str, predicted: npt.ArrayLike, true: npt.ArrayLike) -> Judgement:
    """Judge what a text claims; see `judge_claims`."""
    return judge_claims(claims(text), predicted, true)


def judge_claims(found: Sequence[Claim], predicted: npt.ArrayLike, true: npt.ArrayLike) -> Judgement:
    """Judge the claims of one text: by the first, and where that is a curve by the curves that follow it at once.

    Args:
        found: In the order of the text.
        predicted: [T, 3] the trajectory that should do as the words say; the recorded future when data is checked.
        true: [T, 3] what was really driven.
    """
    if not found:
        return Judgement(Verdict.NO_CLAIM)
    curves = [claim.direction for claim in found[: _curves_ahead(found)]]
    if len(curves) > 1:
        return _judge_sequence(curves, _bends(predicted), _bends(true))
    return judge(found[0], predicted, true)


def judge(claim: Claim, predicted: npt.ArrayLike, true: npt.ArrayLike) -> Judgement:
    """Judge one claim; arguments as in `judge_claims`."""
    if claim.kind in LEAST_OFFSET:
        return Judgement(_judge_offset(claim, predicted), approximate=True)
    if claim.kind in _BENDING:
        return Judgement(_judge_bend(claim.direction, predicted, true))
    if claim.kind is ClaimKind.STRAIGHT:
        return Judgement(Verdict.MISMATCH if _bends(predicted).answers else Verdict.MATCH)
    return Judgement(Verdict.NO_CLAIM)


@dataclass(frozen=True, slots=True)
class _Bends:
    """To which sides a path bends.

    Attributes:
        directions: Of the bends in order, halves of an S-curve included; never the same twice in a row.
        answers: The sides that a claim of a single curve may name.
    """

    directions: tuple[Direction, ...]
    answers: frozenset[Direction]


def _bends(trajectory: npt.ArrayLike) -> _Bends:
    path = profile(track(trajectory))
    found = lobes_of(path)
    bending = [lobe for lobe in found if _is_bend(path, lobe)]
    answers = {direction_of(lobe.change) for lobe in (*bending[:1], *_largest(bending))}
    whole = float(path.heading[-1])
    if abs(whole) >= _least(float(path.s[-1])):
        answers.add(direction_of(whole))
    directions = [direction_of(lobe.change) for lobe in found if lobe in bending or abs(lobe.change) >= S_CURVE_LOBE]
    return _Bends(tuple(side for side, _ in groupby(directions)), frozenset(answers))


def _largest(bending: list[Lobe]) -> list[Lobe]:
    return sorted(bending, key=lambda lobe: -abs(lobe.change))[:1]


def _is_bend(path: Profile, lobe: Lobe) -> bool:
    """Whether the lobe turns far enough for its length, or some stretch of it does."""
    if abs(lobe.change) >= _least(lobe.end - lobe.start):
        return True
    inside = (path.s >= lobe.start) & (path.s <= lobe.end)
    s, heading = path.s[inside], path.heading[inside] * np.sign(lobe.change)
    turned, length = np.subtract.outer(heading, heading), np.subtract.outer(s, s)
    return bool(((turned >= np.maximum(STRETCH_HEADING, BEND_CURVATURE * length)) & (length > 0.0)).any())


def _least(length: float) -> float:
    return max(BEND_HEADING, BEND_CURVATURE * length)


def _judge_bend(claimed: Direction, predicted: npt.ArrayLike, true: npt.ArrayLike) -> Verdict:
    driven = _bends(predicted).answers
    if claimed in driven:
        return Verdict.MATCH
    return Verdict.MISMATCH if driven or _bends(true).answers else Verdict.NO_CLAIM


def _judge_sequence(claimed: Sequence[Direction], predicted: _Bends, true: _Bends) -> Judgement:
    """Judge curves in their order, as many as prediction or truth drives within the horizon, at least the first."""
    within = max(len(predicted.directions), len(true.directions))
    if within == 0:
        return Judgement(Verdict.NO_CLAIM)
    asked = tuple(claimed[:within])
    return Judgement(Verdict.MATCH if predicted.directions[: len(asked)] == asked else Verdict.MISMATCH)


def _judge_offset(claim: Claim, predicted: npt.ArrayLike) -> Verdict:
    if claim.direction is Direction.NONE:
        return Verdict.NO_CLAIM
    label = Jp20261().label(np.asarray(predicted))
    if label.kind == Kind.LANE_CHANGE:
        return Verdict.MATCH if Direction(label.direction) is claim.direction else Verdict.MISMATCH
    offset = compensated_offset(predicted) * claim.direction.sign
    if abs(offset) > LARGEST_OFFSET:
        return Verdict.NO_CLAIM
    if offset >= LEAST_OFFSET[claim.kind]:
        return Verdict.MATCH
    clearly_wrong = offset <= -LEAST_OFFSET[ClaimKind.LANE_CHANGE]
    return Verdict.MISMATCH if clearly_wrong or not _bends(predicted).answers else Verdict.NO_CLAIM


def _curves_ahead(found: Sequence[Claim]) -> int:
    """Return how many of the first claims are curves."""
    return next((i for i, claim in enumerate(found) if claim.kind is not ClaimKind.CURVE), len(found))
