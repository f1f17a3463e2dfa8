"""What the driver says in a window: the data set's words where it has any, else a template's, else the base model's.

After labels, before the row is written. Straight windows are left without words where the recipe says `base`: the
training container lets the base model fill them in, so that its way of thinking is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from touge.contract.sample import Label, Reasoning, Sample
from touge.drives.drive import ReasoningEvent
from touge.language.claim import ClaimKind
from touge.language.claims import first_claim
from touge.language.consistency import Verdict, judge_text
from touge.language.sentences import sentence
from touge.motion.features import Features
from touge.motion.labels import Kind

#: An event speaks for the windows this near: half of the usual stride.
EVENT_US = 500_000
#: Kinds whose manoeuvre a template names; all others are treated like straight driving.
NAMED = frozenset({Kind.CURVE, Kind.S_CURVE, Kind.TURN, Kind.LANE_CHANGE})
_BENDS = frozenset({ClaimKind.CURVE, ClaimKind.TURN})


@dataclass(frozen=True, slots=True)
class Words:
    """Where words come from for windows whose data set has none.

    Attributes:
        straight: Of windows that name no manoeuvre.
        language: Of templates.
        seed: Chooses among phrasings, together with the sample's id.
        phrasings: How many of a manoeuvre's phrasings there are to choose from, each with one word for the speed; None
            for all of both.
    """

    straight: Literal["base", "template"]
    language: Literal["en", "ja"]
    seed: int
    phrasings: int | None = None


def event_near(events: Iterable[ReasoningEvent], t0_us: int) -> ReasoningEvent | None:
    """Return the data set's event nearest to t0, if it is within half a second."""
    near = [event for event in events if abs(event.t_us - t0_us) <= EVENT_US]
    return min(near, key=lambda event: abs(event.t_us - t0_us), default=None)


def with_reasoning(sample: Sample, event: ReasoningEvent | None, words: Words) -> Sample:
    """Return the sample with its reasoning: kept if it has one, else the event's, else by the rules of `words`."""
    if sample.reasoning is not None:
        return sample
    if event is not None:
        said: Reasoning | None = Reasoning(text=event.text, language=event.language, source="dataset")
    elif sample.label.kind in NAMED or words.straight == "template":
        found = Features.from_dict(sample.features)
        text = sentence(sample.label, found, language=words.language, choice=_choice(sample.id, words))
        said = Reasoning(text=text, language=words.language, source="template")
    else:
        said = None
    return sample.model_copy(update={"reasoning": said})


def contradiction(reasoning: Reasoning | None, label: Label, future: npt.NDArray[np.float64]) -> str | None:
    """Return in words how a text contradicts the recorded future, or None.

    Stricter than evaluation in one point: a text that announces a bend over a future that is labelled straight is a
    contradiction here. To a model it may lie beyond the horizon; as a lesson it teaches to say and not to do.
    """
    if reasoning is None:
        return None
    claim = first_claim(reasoning.text)
    if claim is None:
        return None
    announced = claim.kind in _BENDS and label.kind == Kind.STRAIGHT
    if announced or judge_text(reasoning.text, future, future).verdict is Verdict.MISMATCH:
        side = "" if label.direction == "none" else f" to the {label.direction}"
        return f"says {claim.words!r}, drives {label.kind}{side}"
    return None


def _choice(identity: str, words: Words) -> int:
    drawn = int.from_bytes(hashlib.sha256(f"{words.seed}\0{identity}".encode()).digest()[:8])
    return drawn if words.phrasings is None else drawn % words.phrasings
