"""Does the model do what it says? The verdicts of `touge.language.consistency`, counted over all rollouts of a window.

Consistency is match / (match + mismatch), coverage (match + mismatch) / all (design: proof); a rollout that claims
nothing testable lowers coverage and leaves consistency alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from touge.contract.prediction import Rollout
from touge.contract.sample import Sample
from touge.language.claim import Claim, ClaimKind
from touge.language.claims import claims
from touge.language.consistency import Verdict, judge_claims
from touge.motion.labels import Direction, Kind, report_bucket

_BENDS = frozenset({ClaimKind.CURVE, ClaimKind.TURN})


@dataclass(frozen=True, slots=True)
class Tally:
    """Verdicts of one window's rollouts.

    Attributes:
        rollouts: K.
        match: Rollouts that do what they say.
        mismatch: Rollouts that do not.
        right_direction: Rollouts that name the label's side; None where the window is no curve.
    """

    rollouts: int
    match: int
    mismatch: int
    right_direction: int | None


def tally(rollouts: Sequence[Rollout], sample: Sample) -> Tally:
    """Judge the rollouts of one window."""
    verdicts = Counter(verdict_of(rollout, sample) for rollout in rollouts)
    said = [claimed_direction(rollout.reasoning) for rollout in rollouts]
    return Tally(
        rollouts=len(rollouts),
        match=verdicts[Verdict.MATCH],
        mismatch=verdicts[Verdict.MISMATCH],
        right_direction=said.count(Direction(sample.label.direction)) if _is_curve(sample) else None,
    )


def verdict_of(rollout: Rollout, sample: Sample) -> Verdict:
    """Judge one rollout: its words against its own trajectory; the truth only tells what lies beyond the horizon."""
    predicted, truth = np.array(rollout.trajectory), np.array(sample.future)
    return judge_claims(_claims(rollout.reasoning), predicted, truth).verdict


def claimed_direction(text: str) -> Direction | None:
    """Return the side of the first curve or turn that a text claims, or None."""
    return next((claim.direction for claim in _claims(text) if claim.kind in _BENDS), None)


@lru_cache(maxsize=4096)
def _claims(text: str) -> tuple[Claim, ...]:
    return claims(text)


def _is_curve(sample: Sample) -> bool:
    return report_bucket(sample.label) == Kind.CURVE
