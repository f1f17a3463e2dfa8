"""Ground points to pixels."""

import numpy as np
import pytest

from touge.contract.sample import CameraModel
from touge.evaluation.overlay import drawable, project

from .paths import arc

#: A level camera 2 m ahead of the rear axle and 1.5 m above the ground, looking straight ahead.
LOOKS_AHEAD = (0, 0, 1, 2.0, -1, 0, 0, 0, 0, -1, 0, 1.5, 0, 0, 0, 1)


def camera(model: str = "pinhole", **intrinsics: float) -> CameraModel:
    inner = intrinsics or {"fx": 100.0, "fy": 100.0, "cx": 64.0, "cy": 32.0}
    return CameraModel(model=model, intrinsics=inner, ego_from_camera=LOOKS_AHEAD, width=128, height=64)


def test_a_straight_road_runs_up_the_middle_towards_the_horizon():
    pixels = project(arc(np.inf, speed=20.0), camera())

    assert pixels[:, 0] == pytest.approx(64.0)
    assert np.all(np.diff(pixels[:, 1]) < 0)
    assert pixels[-1, 1] == pytest.approx(32.0 + 100.0 * 1.5 / 126.0)


def test_a_left_bend_leads_to_the_left_of_the_picture():
    assert project(arc(60.0), camera())[-1, 0] < 64.0


def test_what_lies_behind_the_camera_is_not_drawn():
    assert len(project(-arc(np.inf), camera())) == 0


def test_an_f_theta_camera_with_a_linear_polynomial_is_a_pinhole_near_the_axis():
    linear = camera("ftheta", cx=64.0, cy=32.0, fw_poly_0=0.0, fw_poly_1=100.0, fw_poly_2=0.0)
    far = project(arc(np.inf, speed=30.0), linear)[-1]

    assert far == pytest.approx(project(arc(np.inf, speed=30.0), camera())[-1], abs=0.01)


def test_a_camera_of_unknown_geometry_is_not_drawn_on():
    assert not drawable(camera("fisheye"))
    assert not drawable(None)
