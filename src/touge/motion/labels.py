"""What a window's future is called: the port that label definitions implement, and what they share.

Stands between the future of a window and its label. A definition sees the future and nothing else, so that a
label can be computed again from a stored row by any definition. Definitions are registered in `definitions`.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from touge.contract.sample import Label

Floats = npt.NDArray[np.float64]

#: Minimum curve radii of the Japanese Road Structure Ordinance, Article 15, metres: design speeds 20, 30, 40, 50,
#: 60, 80 and 100 km/h. https://laws.e-gov.go.jp/law/345CO0000000320
RADIUS_EDGES = (15, 30, 60, 100, 150, 280, 460)
NO_BAND = "none"


class Kind(StrEnum):
    """What the window does, as far as ego motion can tell."""

    CURVE = "curve"
    S_CURVE = "s_curve"
    STRAIGHT = "straight"
    TURN = "turn"
    LANE_CHANGE = "lane_change"
    STOP = "stop"
    AMBIGUOUS = "ambiguous"


class Direction(StrEnum):
    """To which side; left is positive in every quantity."""

    LEFT = "left"
    RIGHT = "right"
    NONE = "none"

    @property
    def sign(self) -> int:
        """Return +1 for left, -1 for right, 0 for none."""
        return {Direction.LEFT: 1, Direction.RIGHT: -1, Direction.NONE: 0}[self]

    @property
    def opposite(self) -> Direction:
        """Return the other side; none stays none."""
        return direction_of(-self.sign)


class LabelDefinition(Protocol):
    """A named, versioned rule from a window's future to its label."""

    @property
    def name(self) -> str:
        """The name that recipes and reports use; another number in a rule makes another name."""

    def label(self, future: Floats) -> Label:
        """Return the label of a future [64, 3] x, y, yaw; raises ValueError if it is not finite or not [T, 3]."""


def direction_of(value: float) -> Direction:
    """Return left for a positive value, right for a negative one."""
    if value == 0.0:
        return Direction.NONE
    return Direction.LEFT if value > 0.0 else Direction.RIGHT


def radius_band(radius: float) -> str:
    """Return the band of a radius in metres, half open (`15-30` holds 15 and not 30); `none` from 460 m on."""
    if radius < RADIUS_EDGES[0]:
        return f"<{RADIUS_EDGES[0]}"
    for low, high in pairwise(RADIUS_EDGES):
        if radius < high:
            return f"{low}-{high}"
    return NO_BAND


def report_bucket(label: Label) -> str:
    """Return where reports count a label: `curve` (with S-curves), `straight`, or the kind by itself."""
    return Kind.CURVE if label.kind == Kind.S_CURVE else label.kind
