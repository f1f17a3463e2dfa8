"""Frames for logs that have no camera."""

import numpy as np
import pytest

from touge.contract.recipe import SyntheticCamera
from touge.drives.drive import Poses
from touge.drives.synthetic.roadside import RoadsideCamera

LOOK = SyntheticCamera(render="synthetic", width=128, height=64)


def driven(curvature: float, *, gap: bool = False) -> Poses:
    """Return 100 m straight, then a bend, at 10 m/s."""
    s = np.arange(0, 160, 0.5)
    yaw = np.maximum(s - 100, 0) * curvature
    xy = np.cumsum(0.5 * np.column_stack([np.cos(yaw), np.sin(yaw)]), axis=0)
    quat = np.column_stack([np.zeros((len(s), 2)), np.sin(yaw / 2), np.cos(yaw / 2)])
    kept = (s < 40) | (s > 70) if gap else np.full(len(s), fill_value=True)
    t_us = 1_000_000 + (s * 1e5).astype(np.int64)
    return Poses(t_us[kept], np.column_stack([xy, 0 * s])[kept], quat[kept], np.full(kept.sum(), 10.0))


def frame(camera: RoadsideCamera, second: float) -> np.ndarray:
    return next(camera.frames([int(second * 10)])).astype(int)


def test_frames_cover_the_drive_ten_times_a_second():
    camera = RoadsideCamera("a", driven(0.02), LOOK)

    assert camera.t_us[0] == 1_000_000
    assert set(np.diff(camera.t_us)) == {100_000}
    assert camera.t_us[-1] == pytest.approx(driven(0.02).t_us[-1], abs=100_000)


def test_the_bend_shows_before_it_is_driven():
    left, right = (frame(RoadsideCamera("a", driven(kappa), LOOK), 7.0) for kappa in (0.02, -0.02))
    near, far = slice(50, 64), slice(22, 32)

    assert np.abs(left - right)[near].mean() < 2
    assert np.abs(left - right)[far].mean() > 8


def test_frames_can_be_asked_for_in_any_subset():
    whole = list(RoadsideCamera("a", driven(0.02), LOOK).frames(range(0, 100, 10)))

    np.testing.assert_array_equal(next(RoadsideCamera("a", driven(0.02), LOOK).frames([50])), whole[5])


def test_drives_look_different_and_seeds_too():
    first = frame(RoadsideCamera("a", driven(0.02), LOOK), 3.0)

    assert (first != frame(RoadsideCamera("b", driven(0.02), LOOK), 3.0)).mean() > 0.5
    other = SyntheticCamera(render="synthetic", width=128, height=64, seed=1)
    assert (first != frame(RoadsideCamera("a", driven(0.02), other), 3.0)).mean() > 0.5


def test_a_gap_in_the_log_leaves_the_road_whole():
    assert frame(RoadsideCamera("a", driven(0.02, gap=True), LOOK), 4.5).std() > 10


def test_traffic_keeps_to_the_side_of_the_country():
    left, right = (RoadsideCamera("a", driven(0.0), LOOK, keeps_left=side) for side in (True, False))
    yellow = [
        np.flatnonzero(frame(camera, 3.0)[45, :, 0] - frame(camera, 3.0)[45, :, 2] > 60) for camera in (left, right)
    ]

    assert yellow[0].mean() > 64 > yellow[1].mean()


def test_it_is_never_so_dark_that_a_slow_drive_looks_frozen():
    brightness = [frame(RoadsideCamera(f"drive-{number}", driven(0.0), LOOK), 3.0).mean() for number in range(20)]

    assert min(brightness) > 60
