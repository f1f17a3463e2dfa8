"""Which pieces follow one another: a road of a style, drawn from a seed.

Between `road` (what a bend is) and `world` (which roads there are). Pure but for the generator that
is passed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum

import numpy as np

from touge.drives.synthetic.road import Centreline, Piece, bend, centreline, straight

#: A road never turns further than this from where it set out, so that it does not cross itself.
MOST_HEADING = math.radians(100)
#: Corners of city streets have no design clothoid; a wheel is still turned over some metres.
CORNER_TRANSITION_M = 4.0


class Style(StrEnum):
    """Kinds of road."""

    MOUNTAIN = "mountain"
    CITY = "city"
    ARTERIAL = "arterial"


def route(style: Style, length: float, rng: np.random.Generator) -> Centreline:
    """Return a road of at least `length` metres."""
    pieces: list[Piece] = straight(rng.uniform(20, 60))
    heading = 0.0
    while sum(piece.length for piece in pieces) < length:
        added = _NEXT[style](heading, rng)
        pieces += added
        heading += sum(piece.length * (piece.kappa_start + piece.kappa_end) / 2 for piece in added)
    return centreline(pieces)


def _mountain(heading: float, rng: np.random.Generator) -> list[Piece]:
    """Return a bend, tight as on a pass, and what lies before it."""
    radius, angle = _log_uniform(rng, 30, 80), math.radians(rng.uniform(35, 75))
    return _gap(rng) + bend(radius, _turned(heading, angle, rng))


def _gap(rng: np.random.Generator) -> list[Piece]:
    """Return what lies between two bends: now and then nothing (an S-curve), mostly a straight of a window's length."""
    chance = rng.random()
    if chance < 0.1:
        return []
    return straight(rng.uniform(50, 100) if chance < 0.6 else rng.uniform(100, 170))


def _city(heading: float, rng: np.random.Generator) -> list[Piece]:
    """Return a block of straight street and the corner or the bend at its end."""
    block = straight(rng.uniform(50, 130))
    if rng.random() < 0.6:
        corner = _turned(heading, math.pi / 2, rng)
        return block + bend(rng.uniform(11, 15), corner, transition=CORNER_TRANSITION_M)
    return block + bend(_log_uniform(rng, 60, 150), _turned(heading, math.radians(rng.uniform(15, 45)), rng))


def _arterial(heading: float, rng: np.random.Generator) -> list[Piece]:
    """Return a long straight and a wide bend."""
    angle = math.radians(rng.uniform(20, 50))
    return straight(rng.uniform(100, 250)) + bend(_log_uniform(rng, 100, 250), _turned(heading, angle, rng))


_NEXT: dict[Style, Callable[[float, np.random.Generator], list[Piece]]] = {
    Style.MOUNTAIN: _mountain,
    Style.CITY: _city,
    Style.ARTERIAL: _arterial,
}


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


def _turned(heading: float, angle: float, rng: np.random.Generator) -> float:
    """Return the angle left or right: at random where both keep the road's direction, else back."""
    left = bool(rng.random() < 0.5)
    if abs(heading + (angle if left else -angle)) > MOST_HEADING:
        left = heading < 0
    return angle if left else -angle
