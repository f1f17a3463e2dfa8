"""Where a window was driven, as far as its source can tell: the keys that hold drives together in a split.

Between samples and the split. A place is a cell of a map with a heading, or a name that the source gives, or unknown:
PhysicalAI-AV clips each have a frame of their own, so their positions say nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from sys import intern
from typing import Any, Self

from pydantic import ValidationError

from touge.contract.errors import DataError
from touge.contract.model import Document, problems

#: Side of a cell, metres: as far as a future reaches at some 60 km/h.
CELL_M = 100.0
#: Windows nearer than this with a like heading always share a key, metres: five times what counts as a leak.
MARGIN_M = 50.0
#: Sectors of heading, and the headings that count as like, radians.
SECTORS = 12
MARGIN_RAD = 0.5

#: Under which key of a sample's notes its position lies.
NOTE = "position"

Key = tuple[str, int, int, int]


class _Note(Document):
    """A position as a sample's notes hold it."""

    frame: str
    x: float
    y: float
    heading: float


@dataclass(frozen=True, slots=True)
class Position:
    """Where t0 lies on a map; small, since the merge holds one for every row.

    Attributes:
        frame: Which map: positions of different frames cannot be compared.
        x: Metres.
        y: Metres.
        heading: Radians.
    """

    frame: str
    x: float
    y: float
    heading: float

    @classmethod
    def of(cls, notes: Mapping[str, Any], row: str) -> Self | None:
        """Return the position in a sample's notes, if there is one.

        Raises:
            DataError: If it is not one, naming the row.
        """
        if NOTE not in notes:
            return None
        try:
            note = _Note.model_validate(notes[NOTE])
        except ValidationError as error:
            raise DataError(f"{row}: notes.{NOTE}: {'; '.join(problems(error, _Note))}") from error
        return cls(intern(note.frame), note.x, note.y, note.heading)

    @property
    def cell(self) -> str:
        """Name of its cell, for people and for `Sample.place`."""
        x, y, sector = _cell(self.x), _cell(self.y), _sector(self.heading)
        return f"{self.frame[:12]}/{x}/{y}/{sector}"

    def keys(self) -> Iterator[Key]:
        """Yield every cell within the margins: two windows within them have a key in common."""
        for x in range(_cell(self.x - MARGIN_M), _cell(self.x + MARGIN_M) + 1):
            for y in range(_cell(self.y - MARGIN_M), _cell(self.y + MARGIN_M) + 1):
                for sector in _sectors_around(self.heading):
                    yield self.frame, x, y, sector


def _cell(metres: float) -> int:
    return math.floor(metres / CELL_M)


def _sector(heading: float) -> int:
    return math.floor(heading % math.tau / math.tau * SECTORS) % SECTORS


def _sectors_around(heading: float) -> set[int]:
    """Return the sectors that headings within the margin fall into; a sector is wider than the margin."""
    return {_sector(heading - MARGIN_RAD), _sector(heading), _sector(heading + MARGIN_RAD)}
