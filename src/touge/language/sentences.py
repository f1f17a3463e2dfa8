"""Sentences that say a manoeuvre, made from its label and features: many phrasings, never at odds with the action.

For windows whose data set has no words of its own; curation draws the choice from a seed. Side, tightness, distance,
angle and change of speed are read off label and features, so a sentence is consistent by construction and
`consistency` finds nothing to object to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from touge.contract.sample import Label
from touge.language.phrases_en import ENGLISH
from touge.language.phrases_ja import JAPANESE
from touge.language.vocabulary import Pace, Vocabulary
from touge.motion.arclength import MOVING
from touge.motion.features import Features
from touge.motion.labels import Direction, Kind

Language = Literal["en", "ja"]

LANGUAGES: Mapping[Language, Vocabulary] = MappingProxyType({"en": ENGLISH, "ja": JAPANESE})

#: A change of speed that is worth a word, m/s and as a share.
_CHANGE_M_S = 1.0
_CHANGE_SHARE = 0.1
#: A bend that begins within this is just ahead, metres.
_NEAR = 10.0


def sentence(label: Label, features: Features, *, language: Language, choice: int) -> str:
    """Return a sentence that says what the window does.

    Args:
        label: By any definition whose kinds are `Kind`.
        features: Of the same future.
        language: `en` or `ja`.
        choice: Any integer, from a seed: it picks the phrasing, then the word for the speed. All choices below
            `choices` differ from each other in one of the two.
    """
    words = LANGUAGES[language]
    templates = _templates(words, label, features)
    ways = words.paces[pace(features)]
    speed = ways[choice // len(templates) % len(ways)]
    slots = {**_slots(words, label, features), **speed}
    capitals = {name.capitalize(): text[:1].upper() + text[1:] for name, text in slots.items()}
    return templates[choice % len(templates)].format(**slots, **capitals)


def choices(label: Label, features: Features, *, language: Language) -> int:
    """Return how many choices there are before they repeat."""
    words = LANGUAGES[language]
    return len(_templates(words, label, features)) * len(words.paces[pace(features)])


def pace(features: Features) -> Pace:
    """Return how the speed changes: slower wins where a window brakes first and accelerates later."""
    worth = max(_CHANGE_M_S, _CHANGE_SHARE * features.speed_start)
    if features.speed_start - features.speed_min >= worth:
        return Pace.SLOWER
    return Pace.FASTER if features.speed_end - features.speed_start >= worth else Pace.SAME


def _templates(words: Vocabulary, label: Label, features: Features) -> tuple[str, ...]:
    said = words.phrasings
    if label.kind == Kind.STOP:
        return said.stop if features.speed_end < MOVING else said.creep
    by_kind = {
        Kind.CURVE: said.curve,
        Kind.S_CURVE: said.s_curve,
        Kind.STRAIGHT: said.straight,
        Kind.TURN: said.turn,
        Kind.LANE_CHANGE: said.lane_change,
    }
    return by_kind.get(Kind(label.kind), said.other)


def _slots(words: Vocabulary, label: Label, features: Features) -> dict[str, str]:
    side = Direction(label.direction)
    gentlest = list(words.tightness.values())[-1]
    metres = round(features.bend_start, -1)
    return {
        "side": words.sides.get(side, ""),
        "other": words.sides.get(side.opposite, ""),
        "tight": words.tightness.get(label.radius_band, gentlest),
        "where": words.near if features.bend_start < _NEAR else words.far.format(metres=int(metres)),
        "angle": str(max(5, 5 * round(math.degrees(abs(features.heading_change)) / 5))),
    }
