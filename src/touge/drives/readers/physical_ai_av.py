"""Reads drives from the PhysicalAI-AV layout: each clip is one drive with a frame of its own.

First station of the data flow. Metadata is read once a reader, a clip when it is opened, a video when
frames are asked for, so memory does not grow with the data set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from touge.contract.sample import CameraModel, Provenance
from touge.drives import parquet
from touge.drives.drive import Camera, Drive, DriveRef, Image, Microseconds, Poses, checked_poses
from touge.drives.physical_ai_av import CAMERA_FEATURES, EGOMOTION, EXTRINSICS, INTRINSICS, POLYNOMIAL_DEGREE
from touge.drives.readers.physical_ai_av_catalogue import Catalogue, Clip
from touge.drives.video import decode


@dataclass(frozen=True, eq=False)
class PhysicalAiAvReader:
    """Drives of a PhysicalAI-AV folder."""

    catalogue: Catalogue

    def drives(self) -> Iterator[DriveRef]:
        """List the clips that can be read, sorted by id.

        Raises:
            DataError: If metadata is missing or damaged, or no clip is left.
        """
        for clip in self.catalogue.listing.clips.values():
            yield DriveRef(clip.id, partial(self._open, clip))

    @property
    def left_out(self) -> Mapping[str, int]:
        """Counts of clips that are invalid, of another region, or not in this copy."""
        return self.catalogue.listing.left_out

    def _open(self, clip: Clip) -> Drive:
        data, source = self.catalogue.read(EGOMOTION, clip, "egomotion")
        cameras: dict[str, Camera] = {
            name: ClipCamera(self.catalogue, clip, name)
            for name, feature in CAMERA_FEATURES.items()
            if feature in clip.features
        }
        return Drive(
            id=clip.id,
            poses=_poses(data, source),
            cameras=cameras,
            reasoning=self.catalogue.reasoning.get(clip.id, ()),
            place=clip.place,
            global_frame=False,
            country=clip.country,
            provenance=Provenance(reader="physical-ai-av", uri=source, sha256=hashlib.sha256(data).hexdigest()),
        )


@dataclass(frozen=True, eq=False)
class ClipCamera:
    """One camera of one clip, read when it is asked for."""

    catalogue: Catalogue
    clip: Clip
    name: str

    @cached_property
    def t_us(self) -> Microseconds:
        """Frame times, [M] microseconds."""
        data, source = self.catalogue.read(CAMERA_FEATURES[self.name], self.clip, "frame_timestamps")
        return parquet.integers(parquet.read_table(data, source), "timestamp", source)

    @cached_property
    def model(self) -> CameraModel | None:
        """Geometry, where this copy holds the calibration."""
        feature = CAMERA_FEATURES[self.name]
        inner = self.catalogue.calibration(INTRINSICS, self.clip, camera_name=feature)
        outer = self.catalogue.calibration(EXTRINSICS, self.clip, sensor_name=feature)
        return _camera_model(inner, outer) if inner and outer else None

    def frames(self, indices: Sequence[int]) -> Iterator[Image]:
        """Yield the frames with these indices, RGB [H, W, 3]; holds the mp4 and one frame."""
        data, source = self.catalogue.read(CAMERA_FEATURES[self.name], self.clip, "video")
        yield from decode(data, indices, expected=len(self.t_us), source=source)


def _poses(data: bytes, source: str) -> Poses:
    table = parquet.read_table(data, source)
    return checked_poses(
        parquet.integers(table, "timestamp", source),
        parquet.numbers(table, ["x", "y", "z"], source),
        parquet.numbers(table, ["qx", "qy", "qz", "qw"], source),
        np.linalg.norm(parquet.numbers(table, ["vx", "vy", "vz"], source), axis=1),
        source=source,
    )


def _camera_model(inner: Mapping[str, Any], outer: Mapping[str, Any]) -> CameraModel:
    """Return the f-theta model, in which the radius in pixels is a polynomial of the angle to the optical axis.

    A synthetic camera's row says `pinhole`; its focal length is the linear coefficient.
    """
    pinhole = inner.get("model") == "pinhole"
    names = [f"{way}_poly_{power}" for way in ("fw", "bw") for power in range(POLYNOMIAL_DEGREE + 1)]
    lens = {"fx": inner["fw_poly_1"], "fy": inner["fw_poly_1"]} if pinhole else {name: inner[name] for name in names}
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_quat([outer[name] for name in ("qx", "qy", "qz", "qw")]).as_matrix()
    matrix[:3, 3] = [outer[name] for name in ("x", "y", "z")]
    return CameraModel(
        model="pinhole" if pinhole else "ftheta",
        intrinsics={name: float(value) for name, value in ({"cx": inner["cx"], "cy": inner["cy"]} | lens).items()},
        ego_from_camera=tuple(matrix.ravel().tolist()),
        width=int(inner["width"]),
        height=int(inner["height"]),
    )
