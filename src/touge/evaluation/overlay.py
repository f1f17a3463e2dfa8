"""Paths on a camera frame: points on the ground in the ego frame to pixels.

The ground is taken to be the plane z = 0 of the ego frame at t0: right on a level road, a few pixels off on a crest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from touge.contract.sample import CameraModel

Array = NDArray[np.float64]

#: Nearer than this to the camera's plane a point is not drawn, metres.
_NEAR = 0.5
_KNOWN = frozenset({"pinhole", "ftheta"})


def drawable(camera: CameraModel | None) -> bool:
    """Return whether paths can be drawn on this camera's frames."""
    return camera is not None and camera.model in _KNOWN


def project(path: Array, camera: CameraModel) -> Array:
    """Return the pixels [M, 2] of the part of a ground path [T, 2+] (metres, ego frame) that lies before the camera.

    Models: `pinhole` (fx, fy, cx, cy) and `ftheta` (radius in pixels is a polynomial fw_poly_n of the angle to
    the optical axis, PhysicalAI-AV calibration). Camera axes: x right, y down, z forward.
    """
    camera_from_ego = np.linalg.inv(np.array(camera.ego_from_camera).reshape(4, 4))
    points = _dense(path)
    ground = np.column_stack([points, np.zeros(len(points)), np.ones(len(points))])
    seen = (ground @ camera_from_ego.T)[:, :3]
    seen = seen[seen[:, 2] > _NEAR]
    pixels = _pinhole(seen, camera.intrinsics) if camera.model == "pinhole" else _ftheta(seen, camera.intrinsics)
    margin = camera.width
    inside = (np.abs(pixels[:, 0]) < 2 * margin) & (np.abs(pixels[:, 1]) < 2 * margin)
    kept: Array = pixels[inside]
    return kept


def _dense(path: Array, spacing: float = 0.5) -> Array:
    """Return the path from the origin with points every half metre, so that near ones do not make a gap."""
    points = np.concatenate([np.zeros((1, 2)), path[:, :2]])
    s = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    at = np.arange(0.0, s[-1] + spacing, spacing)
    return np.column_stack([np.interp(at, s, points[:, 0]), np.interp(at, s, points[:, 1])])


def _pinhole(seen: Array, inner: dict[str, float]) -> Array:
    x, y = seen[:, 0] / seen[:, 2], seen[:, 1] / seen[:, 2]
    return np.column_stack([inner["fx"] * x + inner["cx"], inner["fy"] * y + inner["cy"]])


def _ftheta(seen: Array, inner: dict[str, float]) -> Array:
    aside = np.hypot(seen[:, 0], seen[:, 1])
    powers = sorted(int(name.removeprefix("fw_poly_")) for name in inner if name.startswith("fw_poly_"))
    angle = np.arctan2(aside, seen[:, 2])
    radius = sum((inner[f"fw_poly_{power}"] * angle**power for power in powers), np.zeros_like(angle))
    scale = radius / np.maximum(aside, 1e-9)
    return np.column_stack([scale * seen[:, 0] + inner["cx"], scale * seen[:, 1] + inner["cy"]])
