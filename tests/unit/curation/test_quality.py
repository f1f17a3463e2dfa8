"""Why a window is refused: each reason by itself, and what is no reason."""

import dataclasses

import numpy as np
import pytest
from curating import PaintedCamera, make_drive, make_poses, painted

from touge.contract.recipe import Image
from touge.curation.pictures import Picture
from touge.curation.quality import camera_rejections, motion_of, picture_rejections
from touge.drives.drive import Poses

BOUNDS = Image(min_pixels=2048, max_pixels=2048)
T0_US = 3_000_000


def changed(poses: Poses, **columns: np.ndarray) -> Poses:
    return dataclasses.replace(poses, **columns)


def turned(quat: np.ndarray, yaw: float) -> np.ndarray:
    """Return yaw-only quaternions turned further."""
    half = np.arctan2(quat[:, 2], quat[:, 3]) + yaw / 2
    return np.column_stack([quat[:, :2], np.sin(half), np.cos(half)])


def along(distance: np.ndarray, t: np.ndarray) -> Poses:
    """Return poses on a straight line."""
    zero = np.zeros_like(t)
    return Poses(
        np.round(t * 1e6).astype(np.int64),
        np.column_stack([distance, zero, zero]),
        np.column_stack([zero, zero, zero, zero + 1]),
        np.gradient(distance, t),
    )


GOOD = make_poses()
TIME = GOOD.t_us / 1e6
LATE = (TIME > 6.0)[:, None]
GAP = (TIME < 4.0) | (TIME > 4.5)
FASTER = np.where(TIME > 5.0, (TIME - 5.0) ** 2 * 6.0, 0.0)
JERK = np.where((TIME > 5.0) & (TIME < 6.5), 9.0, 0.0)

REFUSED = {
    "short_history": (GOOD, 1_400_000),
    "short_future": (GOOD, 5_700_000),
    "gap": (Poses(GOOD.t_us[GAP], GOOD.xyz[GAP], GOOD.quat[GAP], GOOD.speed[GAP]), T0_US),
    "position_jump": (changed(GOOD, xyz=GOOD.xyz + LATE * np.array([0.0, 3.0, 0.0])), T0_US),
    "non_finite": (changed(GOOD, xyz=np.where(np.roll(LATE, 1, axis=0) ^ LATE, np.nan, GOOD.xyz)), T0_US),
    "speed_mismatch": (changed(GOOD, speed=GOOD.speed * 3.6), T0_US),
    "yaw_mismatch": (changed(GOOD, quat=turned(GOOD.quat, 0.3)), T0_US),
    "curvature": (make_poses(curvature=0.25, speed=4.0), T0_US),
    "acceleration": (along(10.0 * TIME + FASTER, TIME), T0_US),
}


@pytest.mark.parametrize(("poses", "t0_us"), REFUSED.values(), ids=REFUSED.keys())
def test_every_fault_of_motion_is_the_first_reason_of_its_windows(poses, t0_us, request):
    window, found = motion_of(poses, t0_us)

    assert window is None
    assert found[0].reason == request.node.callspec.id


def test_a_brake_that_is_pulled_and_let_go_is_a_jerk():
    dt = np.diff(TIME, prepend=0.0)
    poses = along(np.cumsum((20.0 - np.cumsum(JERK * dt)) * dt), TIME)

    assert [rejection.reason for rejection in motion_of(poses, T0_US)[1]] == ["jerk"]


def test_good_driving_is_kept_whole():
    window, found = motion_of(GOOD, T0_US)

    assert found == ()
    assert (window.history.shape, window.future.shape) == ((16, 4), (64, 3))


def test_every_reason_tells_what_was_measured_and_what_is_allowed():
    _, found = motion_of(changed(GOOD, speed=GOOD.speed * 3.6), T0_US)

    assert found[0].detail == "26, allowed 4.6"


def test_a_log_without_speeds_is_judged_by_its_positions():
    assert motion_of(changed(GOOD, speed=np.full_like(GOOD.speed, np.nan)), T0_US)[1] == ()


def camera(first_s: float = 0.0, last_s: float = 12.0, name: str = "front_wide") -> PaintedCamera:
    return PaintedCamera(np.arange(round(first_s * 1e6), round(last_s * 1e6) + 1, 100_000), name=name)


def against(*cameras: PaintedCamera, wanted: tuple[str, ...] = ("front_wide",)) -> list[str]:
    drive = make_drive(cameras=cameras)
    return [rejection.reason for rejection in camera_rejections(drive, wanted)]


def test_a_camera_that_runs_with_the_poses_is_fine():
    assert against(camera()) == []


def test_a_camera_that_ends_before_the_poses_is_fine():
    assert against(camera(2.0, 8.0)) == []


def test_a_camera_that_the_recipe_does_not_ask_for_may_have_any_clock():
    assert against(camera(), camera(-9.0, 20.0, name="front_tele")) == []


@pytest.mark.parametrize(("first", "last"), [(-0.4, 11.0), (0.0, 12.4)])
def test_frames_beyond_the_poses_are_of_another_clock(first, last):
    assert against(camera(first, last)) == ["clock_skew"]


def test_frames_a_gap_beyond_the_poses_are_allowed():
    assert against(camera(-0.3, 12.3)) == []


def test_a_clock_that_stands_still_is_doubted():
    times = camera().t_us
    times[50] = times[49]

    assert against(PaintedCamera(times)) == ["clock_skew"]


def test_a_missing_camera_is_named_with_those_that_are_there():
    found = camera_rejections(make_drive(cameras=[camera()]), ("front_wide", "rear_tele"))

    assert [rejection.reason for rejection in found] == ["missing_camera"]
    assert found[0].detail == "no rear_tele; the drive has front_wide"


def pictures(*seeds: int | None) -> dict[str, list[Picture]]:
    frames = [np.zeros_like(painted(0)) if seed is None else painted(seed) for seed in seeds]
    return {"front_wide": [Picture.of(frame, BOUNDS) for frame in frames]}


@pytest.mark.parametrize(
    ("seeds", "speed", "expected"),
    [
        ((0, 1, 2, 3), 10.0, []),
        ((0, 1, None, 3), 10.0, ["black_frames"]),
        ((None, None, None, None), 0.0, ["black_frames"]),
        ((0, 1, 1, 3), 10.0, ["frozen_frames"]),
        ((0, 1, 1, 3), 2.9, []),
    ],
)
def test_frames_are_judged_by_what_they_show(seeds, speed, expected):
    assert [rejection.reason for rejection in picture_rejections(pictures(*seeds), speed)] == expected


def test_the_camera_with_the_bad_frame_is_named():
    both = pictures(0, 1, 2, 3) | {"front_tele": pictures(4, 5, 5, 6)["front_wide"]}

    assert picture_rejections(both, 10.0)[0].detail == "front_tele"
