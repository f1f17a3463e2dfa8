"""Frames of a road."""

import dataclasses

import numpy as np
import pytest

from touge.contract.recipe import CAMERAS
from touge.drives.synthetic import pinhole
from touge.drives.synthetic.render import render
from touge.drives.synthetic.road import bend, centreline, extended, straight
from touge.drives.synthetic.route import Style
from touge.drives.synthetic.scene import Light, Marking, Scene, scene
from touge.drives.synthetic.terrain import stretch

WIDTH, HEIGHT, VIEW = 256, 128, 70.0
SEEN = pinhole.rays("front_wide", WIDTH, HEIGHT, VIEW)
NOON = Light((90, 140, 210), (210, 215, 220), 1e6, 1.0, (1, 1, 1), 0.0, 0.0)


def plain(*markings: Marking) -> Scene:
    """Return a scene of black asphalt with the given lines, without weather and noise."""
    drawn = scene(Style.MOUNTAIN, np.random.default_rng(0))
    trees = dataclasses.replace(drawn.left, colour=(20, 50, 10), rail=None)
    return dataclasses.replace(
        drawn,
        light=NOON,
        asphalt=(0, 0, 0),
        verge=(0, 90, 0),
        markings=markings,
        half_width=4.0,
        left=trees,
        right=trees,
    )


def picture(angle: float, appearance: Scene, *, seen: pinhole.Rays = SEEN, grain: int = 0) -> np.ndarray:
    """Draw the road 30 m before a bend, from the left lane."""
    road = extended(centreline([*straight(60), *bend(60, angle), *straight(20)] if angle else straight(80)), 60, 300)
    return render(seen, appearance, stretch(road, 50.0, 350.0), (30.0, 1.5, 0.0), grain)


def pixel(x: float, y: float) -> tuple[int, int]:
    """Return row and column of a point on the ground, by the calibration that samples carry."""
    model = pinhole.model(SEEN)
    ego_from_camera = np.array(model.ego_from_camera).reshape(4, 4)
    right, down, forward, _ = np.linalg.inv(ego_from_camera) @ [x, y, 0, 1]
    k = model.intrinsics
    return int(k["cy"] + k["fy"] * down / forward), int(k["cx"] + k["fx"] * right / forward)


@pytest.mark.parametrize("metres", [10, 15, 25])
@pytest.mark.parametrize("offset", [3.0, 0.0, -3.0])
def test_a_line_is_where_the_calibration_says(metres, offset):
    drawn = picture(0.0, plain(Marking(offset, 0.4, (255, 255, 255))))
    row, column = pixel(metres, offset - 1.5)

    assert drawn[row, max(column - 1, 0) : column + 2].max() > 120


def test_traffic_keeps_left():
    drawn = picture(0.0, plain(Marking(0.0, 0.3, (255, 255, 255))))
    row, _ = pixel(10, 0)

    assert drawn[row].sum(axis=1).argmax() > WIDTH / 2


@pytest.mark.parametrize(("angle", "side"), [(1.2, -1), (-1.2, 1)])
def test_the_bend_shows_before_it_is_taken(angle, side):
    wide = plain(Marking(1.5, 3.0, (255, 255, 255)))
    bending, going_on = (picture(turn, wide)[SEEN.top + 1 : SEEN.top + 5].min(axis=2) for turn in (angle, 0.0))

    columns = [np.flatnonzero(rows.max(axis=0) > 100).mean() for rows in (bending, going_on)]
    assert side * (columns[0] - columns[1]) > WIDTH * 0.03


def test_left_and_right_bends_are_mirror_images():
    middle = plain(Marking(0.0, 0.4, (255, 255, 255)))
    road = {side: extended(centreline([*straight(60), *bend(60, side * 1.2)]), 60, 300) for side in (1, -1)}
    left, right = (
        render(SEEN, middle, stretch(road[side], 50.0, 350.0), (30.0, 0.0, 0.0), 0).astype(int) for side in (1, -1)
    )

    lines = [np.flatnonzero(view[60:100].min(axis=2).max(axis=0) > 100) for view in (left, right[:, ::-1])]
    assert len(np.setxor1d(*lines)) <= 4


def test_equal_poses_and_seeds_make_equal_frames():
    appearance = scene(Style.CITY, np.random.default_rng(1), (100.0,))

    np.testing.assert_array_equal(picture(0.5, appearance), picture(0.5, appearance))


def test_sensor_noise_changes_from_frame_to_frame():
    appearance = scene(Style.ARTERIAL, np.random.default_rng(1))

    assert (picture(0.5, appearance, grain=1) != picture(0.5, appearance, grain=2)).mean() > 0.3


def test_a_zebra_crossing_is_painted_across_the_road():
    crossed = dataclasses.replace(plain(), crossings=(105.0,))
    row, _ = pixel(15.0, 0)

    assert (picture(0.0, crossed)[row].min(axis=1) > 150).sum() > 10
    assert (picture(0.0, plain())[row].min(axis=1) > 150).sum() < 10


@pytest.mark.parametrize("camera", CAMERAS)
def test_every_camera_sees_something(camera):
    seen = pinhole.rays(camera, 128, 64, VIEW)
    drawn = picture(0.6, scene(Style.MOUNTAIN, np.random.default_rng(2)), seen=seen)

    assert drawn.shape == (64, 128, 3)
    assert drawn.std() > 10


def test_full_size_frames_can_be_drawn():
    seen = pinhole.rays("front_wide", 1920, 1080, 120.0)

    assert picture(0.6, scene(Style.MOUNTAIN, np.random.default_rng(2)), seen=seen).shape == (1080, 1920, 3)
