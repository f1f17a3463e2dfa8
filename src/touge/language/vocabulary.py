"""What a language must bring so that `sentences` can speak it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from touge.motion.labels import Direction


class Pace(StrEnum):
    """How the speed changes over the window."""

    SLOWER = "slower"
    SAME = "same"
    FASTER = "faster"


@dataclass(frozen=True, slots=True)
class Phrasings:
    """Templates by what is done; `other` follows the lane, `creep` is a path too short for any shape."""

    curve: tuple[str, ...]
    s_curve: tuple[str, ...]
    straight: tuple[str, ...]
    turn: tuple[str, ...]
    lane_change: tuple[str, ...]
    stop: tuple[str, ...]
    creep: tuple[str, ...]
    other: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of one language.

    Attributes:
        sides: Left and right.
        tightness: An attribute of a bend for each radius band of the label definitions.
        near: Where, if the bend begins at once.
        far: Where, with a slot {metres}.
        paces: Ways to say each pace: slot name -> words.
        phrasings: Templates.
    """

    sides: Mapping[Direction, str]
    tightness: Mapping[str, str]
    near: str
    far: str
    paces: Mapping[Pace, tuple[Mapping[str, str], ...]]
    phrasings: Phrasings
