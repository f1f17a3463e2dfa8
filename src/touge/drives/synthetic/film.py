"""A camera that moves along a road: keeps the stretch of road around the vehicle and draws frames of it.

Used by `world` for its own drives and by the table reader for logs that have no camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from touge.drives.drive import Image
from touge.drives.synthetic.pinhole import Rays
from touge.drives.synthetic.render import render
from touge.drives.synthetic.road import Centreline
from touge.drives.synthetic.scene import Scene
from touge.drives.synthetic.terrain import Stretch, stretch

#: A new stretch is rastered each time the vehicle has gone this far, metres.
_RENEW_M = 60.0
#: How far a camera sees along the road in its direction, and what it needs behind its back, metres.
SIGHT_M, BACK_M = 200.0, 40.0


@dataclass(slots=True, eq=False)
class Film:
    """Frames along one road; remembers the last stretch, so ask in the order of driving."""

    seen: Rays
    scene: Scene
    road: Centreline
    _number: int = field(default=-1, init=False)
    _stretch: Stretch | None = field(default=None, init=False)

    def picture(self, pose: tuple[float, float, float], s: float, grain: int) -> Image:
        """Draw one frame.

        Args:
            pose: Rear axle x, y and yaw in the road's frame, metres and radians.
            s: Arc length of the vehicle along the road, metres.
            grain: Seed of the sensor's noise.
        """
        number = int(s // _RENEW_M)
        if self._stretch is None or number != self._number:
            self._number, self._stretch = number, self._around(number * _RENEW_M)
        return render(self.seen, self.scene, self._stretch, pose, grain)

    def _around(self, s: float) -> Stretch:
        behind, ahead = (BACK_M, SIGHT_M) if math.cos(self.seen.yaw) > 0 else (SIGHT_M, BACK_M)
        return stretch(self.road, s - behind, s + _RENEW_M + ahead)
