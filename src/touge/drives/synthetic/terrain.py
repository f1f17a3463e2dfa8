"""Where a point of the ground lies on the road: world x, y in; arc length and lateral offset out.

Stands between `road` and `render`. A coarse raster names the nearest centreline sample of every
cell; the offset from that sample is then exact to first order, centimetres at R = 15 m. Only a stretch of
the road is rastered at a time, so that memory stays flat and a road that crosses itself far away
does not show.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from touge.drives.drive import Floats
from touge.drives.synthetic.road import STEP_M, Centreline

Floats32 = npt.NDArray[np.float32]

#: Cell of the raster, metres.
CELL_M = 1.0
#: Points further from the centreline are off the map, metres.
REACH_M = 28.0
#: Offset reported for points off the map, metres.
OFF_MAP = np.float32(1e3)


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """A rastered stretch of road.

    Attributes:
        corner: World position of cell (0, 0), metres.
        nearest: [rows, columns] index of the nearest sample; the last index means off the map.
        samples: [5, N + 1] x, y (from `corner`), cos and sin of the yaw, arc length.
    """

    corner: Floats
    nearest: npt.NDArray[np.int32]
    samples: Floats32

    def locate(self, x: Floats32, y: Floats32) -> Located:
        """Return where points lie that are given from `corner`, metres."""
        rows, columns = self.nearest.shape
        row = (y * (1 / CELL_M)).astype(np.int32).clip(0, rows - 1)
        column = (x * (1 / CELL_M)).astype(np.int32).clip(0, columns - 1)
        index = self.nearest.ravel().take(row * columns + column)
        at_x, at_y, cos, sin, s = (column.take(index) for column in self.samples)
        dx, dy = x - at_x, y - at_y
        return Located(s + dx * cos + dy * sin, dy * cos - dx * sin, cos, sin)


@dataclass(frozen=True, slots=True, eq=False)
class Located:
    """Points on the road, arrays of one shape.

    Attributes:
        s: Arc length, metres.
        d: Offset to the left of the centreline, metres.
        cos, sin: Of the road's yaw there.
    """

    s: Floats32
    d: Floats32
    cos: Floats32
    sin: Floats32


def stretch(road: Centreline, start: float, end: float) -> Stretch:
    """Raster the road between two arc lengths, metres, as far as it goes.

    Cells are written from the outside to the inside, so that where two samples claim one cell the
    nearer wins (NumPy: of repeated indices the last assignment stays).
    """
    first = max(0, int(start / STEP_M))
    last = min(len(road.yaw), int(end / STEP_M))
    xy, yaw = road.xy[first:last], road.yaw[first:last]
    corner = xy.min(axis=0) - REACH_M - 2 * CELL_M
    columns, rows = ((xy.max(axis=0) + REACH_M + 2 * CELL_M - corner) / CELL_M).astype(int) + 1
    nearest = np.full((rows, columns), len(yaw), dtype=np.int32)
    magnitude = np.arange(REACH_M, -0.1, -0.6 * CELL_M)
    offset = np.stack([magnitude, -magnitude], axis=1).ravel()
    fine = np.arange(0, len(yaw) - 0.5, 0.5)
    x, y, angle = (np.interp(fine, np.arange(len(yaw)), column) for column in (*xy.T, yaw))
    cell_x = ((x - corner[0] - offset[:, None] * np.sin(angle)) / CELL_M).astype(np.int32)
    cell_y = ((y - corner[1] + offset[:, None] * np.cos(angle)) / CELL_M).astype(np.int32)
    nearest[cell_y, cell_x] = np.minimum(np.round(fine), len(yaw) - 1).astype(np.int32)
    samples = np.stack([*(xy - corner).T, np.cos(yaw), np.sin(yaw), np.arange(first, last) * STEP_M])
    off_map = np.array([[0], [-OFF_MAP], [1], [0], [0]])
    return Stretch(corner, nearest, np.hstack([samples, off_map]).astype(np.float32))
