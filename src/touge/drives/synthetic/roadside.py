"""A camera for logs that have none: frames drawn along the driven path.

The road follows the path that was driven, so the frames show each bend before it is taken. They show
nothing else of the place: whoever uses them must say so.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.spatial.transform import Rotation

from touge.contract.recipe import SyntheticCamera
from touge.contract.sample import CameraModel
from touge.drives.drive import Floats, Image, Microseconds, Poses
from touge.drives.synthetic import pinhole
from touge.drives.synthetic.film import Film
from touge.drives.synthetic.road import along_path, extended
from touge.drives.synthetic.route import Style
from touge.drives.synthetic.scene import Scene, scene

#: Ten frames a second are what a sample needs.
_FRAME_US = 100_000
#: Straights before the first and after the last position, metres.
_BEFORE_M, _AFTER_M = 60.0, 300.0
#: Exposure is that of the day at least: at dusk, frames of a slow vehicle on an empty road look frozen.
_DAY = 0.8


@dataclass(frozen=True, eq=False)
class RoadsideCamera:
    """The front camera of a drive whose log has none.

    Attributes:
        drive: Id; light and textures follow from it and the seed.
        poses: Driven path.
        look: Seed and size of the frames.
        keeps_left: Whether traffic does, where the log comes from.
    """

    drive: str
    poses: Poses
    look: SyntheticCamera
    keeps_left: bool = True
    name: str = "front_wide"

    @cached_property
    def t_us(self) -> Microseconds:
        """Frame times from the first pose to the last, [M] microseconds."""
        return np.arange(self.poses.t_us[0], self.poses.t_us[-1] + 1, _FRAME_US)

    @property
    def model(self) -> CameraModel:
        """The camera's geometry."""
        return pinhole.model(self._film.seen)

    def frames(self, indices: Sequence[int]) -> Iterator[Image]:
        """Draw the frames with these indices, one at a time, RGB [H, W, 3]."""
        t_us = self.t_us[np.asarray(indices, dtype=int)]
        track = self._track
        x, y, yaw, s = (np.interp(t_us, self.poses.t_us, column) for column in track.T)
        for number, index in enumerate(indices):
            pose = float(x[number]), float(y[number]), float(yaw[number])
            yield self._film.picture(pose, float(s[number]), self.look.seed + int(index))

    @cached_property
    def _track(self) -> Floats:
        """Return x, y, unwrapped yaw and arc length along the road of each pose, [N, 4]."""
        xy = self.poses.xyz[:, :2]
        yaw = np.unwrap(Rotation.from_quat(self.poses.quat).as_euler("ZYX")[:, 0])
        return np.column_stack([xy, yaw, along_path(xy, self._lane)[1] + _BEFORE_M])

    @property
    def _lane(self) -> float:
        return self._scene.lane if self.keeps_left else -self._scene.lane

    @cached_property
    def _scene(self) -> Scene:
        seen = scene(Style.MOUNTAIN, np.random.default_rng([self.look.seed, zlib.crc32(self.drive.encode())]))
        return replace(seen, light=replace(seen.light, gain=max(seen.light.gain, _DAY)))

    @cached_property
    def _film(self) -> Film:
        road, _ = along_path(self.poses.xyz[:, :2], self._lane)
        seen = pinhole.rays(self.name, self.look.width, self.look.height, pinhole.FIELD_OF_VIEW)
        return Film(seen, self._scene, extended(road, _BEFORE_M, _AFTER_M))
