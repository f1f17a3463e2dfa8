"""The bends of one trajectory, one by one: runs of curvature of one sign.

Stands between the profile over arc length and whatever must look at an S-curve bend by bend: labels, curvature
gain, consistency. It does not say whether a lobe is a curve; definitions do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from touge.motion.arclength import Profile, profile, track

#: Lobes below this heading change are merged into their neighbours, radians (definition jp-2026.1, Quantities).
SMALLEST = 0.02


@dataclass(frozen=True, slots=True)
class Lobe:
    """A stretch that bends one way.

    Attributes:
        start: Arc length where it begins, metres.
        end: Arc length where it ends, metres.
        change: Heading change over it, radians, left positive.
    """

    start: float
    end: float
    change: float


def lobes(trajectory: npt.ArrayLike) -> tuple[Lobe, ...]:
    """Return the lobes of a trajectory [T, 3] in driving order; together they cover its whole length."""
    return lobes_of(profile(track(trajectory)))


def lobes_of(path: Profile) -> tuple[Lobe, ...]:
    """Return the lobes of a profile: maximal runs of one sign of curvature, the small ones merged.

    The smallest lobe is merged with both its neighbours, which have the other sign, until none is below
    `SMALLEST` or one is left.
    """
    edges = _sign_changes(path)
    while len(edges) > 2:
        sizes = np.abs(np.diff(path.heading[edges]))
        smallest = int(sizes.argmin())
        if sizes[smallest] >= SMALLEST:
            break
        inner = {smallest, smallest + 1} - {0, len(edges) - 1}
        edges = [edge for i, edge in enumerate(edges) if i not in inner]
    return tuple(
        Lobe(float(path.s[a]), float(path.s[b]), float(path.heading[b] - path.heading[a])) for a, b in pairwise(edges)
    )


def largest(found: Iterable[Lobe], sign: int) -> float:
    """Return the largest heading change to one side (+1 left, -1 right), radians; 0 where no lobe bends there."""
    return max((sign * lobe.change for lobe in found if sign * lobe.change > 0.0), default=0.0)


def _sign_changes(path: Profile) -> list[int]:
    """Return the indices between which the heading is monotone, first and last included."""
    rising = np.sign(np.diff(path.heading))
    edges = [0]
    current = 0.0
    for i, sign in enumerate(rising):
        if sign != 0.0 and current not in (0.0, sign):
            edges.append(i)
        current = sign or current
    return [*edges, len(path.s) - 1]
