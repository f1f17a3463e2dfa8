"""The synthetic camera: a level pinhole on the windscreen, and the rays of its pixels.

Precomputed once a camera and used for every frame by `render`. Camera axes as in the PhysicalAI-AV
calibration: x right, y down, z forward.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from touge.contract.sample import CameraModel
from touge.drives.synthetic.terrain import Floats32

#: Where the front-wide camera of a car sits, metres from the rear axle on the ground: forward, up.
MOUNT_FORWARD_M, MOUNT_HEIGHT_M = 1.7, 1.45

#: Direction in which each camera looks, degrees from straight ahead, left positive.
LOOKS = {
    "cross_left": 55.0,
    "front_wide": 0.0,
    "cross_right": -55.0,
    "rear_left": 150.0,
    "rear_tele": 180.0,
    "rear_right": -150.0,
    "front_tele": 0.0,
}
#: Field of view of the synthetic cameras unless the world says otherwise, degrees.
FIELD_OF_VIEW = 50.0
#: Field of view of the tele cameras, degrees (the 30 of PhysicalAI-AV); the others take the world's.
TELE_DEG = 30.0

#: Share of the picture above the horizon: a lens shift, so that more rows see the road.
_HORIZON = 0.42
#: Nothing on the ground is drawn beyond this distance, metres.
_FAR_M = 240.0
#: Distances at which rays are tested for hitting a wall, metres: evenly spaced in the picture's logarithm.
_MARCH_M = np.geomspace(2.0, 220.0, 36).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Rays:
    """Where the pixels of a level pinhole camera look.

    Notation: H, W picture size; G rows below the horizon; M march distances.

    Attributes:
        height, width: Pixels.
        focal: Pixels.
        centre: Principal point x, y; pixels.
        yaw: Direction of view, radians from straight ahead, left positive.
        top: First row that sees the ground.
        forward: [G + M] distance along the optical axis of ground rows, then of the march, metres.
        right: [W] metres to the right per metre forward.
        down: [H] metres down per metre forward.
    """

    height: int
    width: int
    focal: float
    centre: tuple[float, float]
    yaw: float
    top: int
    forward: Floats32
    right: Floats32
    down: Floats32

    @property
    def ground_rows(self) -> int:
        """How many rows see the ground."""
        return self.height - self.top

    @property
    def march(self) -> Floats32:
        """Distances at which rays are tested, [M] metres."""
        return self.forward[self.ground_rows :]


def rays(camera: str, width: int, height: int, field_of_view: float) -> Rays:
    """Return the rays of one camera.

    Args:
        camera: Name by position.
        width: Pixels.
        height: Pixels.
        field_of_view: Horizontal, degrees; tele cameras have their own.
    """
    view = min(field_of_view, TELE_DEG) if camera.endswith("tele") else field_of_view
    focal = width / 2 / math.tan(math.radians(view) / 2)
    centre = (width / 2, height * _HORIZON)
    right = ((np.arange(width) + 0.5 - centre[0]) / focal).astype(np.float32)
    down = ((np.arange(height) + 0.5 - centre[1]) / focal).astype(np.float32)
    top = int(np.argmax(down > MOUNT_HEIGHT_M / _FAR_M))
    ground = MOUNT_HEIGHT_M / down[top:]
    forward = np.concatenate([ground, _MARCH_M]).astype(np.float32)
    return Rays(height, width, focal, centre, math.radians(LOOKS[camera]), top, forward, right, down)


def model(seen: Rays) -> CameraModel:
    """Return the camera's geometry as a sample states it."""
    cos, sin = math.cos(seen.yaw), math.sin(seen.yaw)
    rotation = np.array([[sin, 0.0, cos], [-cos, 0.0, sin], [0.0, -1.0, 0.0]])  # columns: right, down, forward
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = MOUNT_FORWARD_M, 0.0, MOUNT_HEIGHT_M
    return CameraModel(
        model="pinhole",
        intrinsics={"fx": seen.focal, "fy": seen.focal, "cx": seen.centre[0], "cy": seen.centre[1]},
        ego_from_camera=tuple(matrix.ravel().tolist()),
        width=seen.width,
        height=seen.height,
    )
