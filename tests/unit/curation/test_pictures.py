"""Frames at the model's input size."""

import contextlib
import io

import numpy as np
import pytest
from curating import painted
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from touge.contract.errors import DataError
from touge.contract.recipe import Image
from touge.contract.sample import CameraModel
from touge.curation.pictures import UNIT, Picture, decoded, input_size, resized_model

FULL = Image()
TINY = Image(min_pixels=2048, max_pixels=2048)
POSE = tuple(np.eye(4).ravel().tolist())


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1080, 1920), (320, 576)),
        ((320, 576), (320, 576)),
        ((64, 128), (288, 576)),
        ((1860, 2880), (352, 544)),
    ],
)
def test_sizes_are_those_of_the_models_processor(size, expected):
    assert expected == input_size(*size, FULL)


@given(st.integers(64, 4000), st.floats(0.14, 7.0))
def test_the_processor_has_nothing_left_to_do(height, aspect):
    size = input_size(height, max(32, round(height * aspect)), FULL)

    assert size == input_size(*size, FULL)
    assert size[0] % UNIT == size[1] % UNIT == 0


@pytest.mark.parametrize(("size", "bounds"), [((64, 578), FULL), ((300, 300), TINY)])
def test_a_frame_that_the_processor_would_resize_again_is_refused(size, bounds):
    with pytest.raises(DataError, match="crop the frames"):
        input_size(*size, bounds)


def test_a_frame_of_the_right_size_is_untouched():
    frame = painted(0)

    assert Picture.of(frame, TINY).pixels is frame


def test_a_large_frame_is_made_smaller():
    assert Picture.of(painted(0, (1080 // 16 * 16, 1920)), FULL).size == (576, 320)


def test_equal_frames_give_equal_bytes_of_high_quality():
    first, second = (Picture.of(painted(7), TINY).jpeg for _ in range(2))
    error = np.abs(decoded(first, "x").astype(int) - painted(7))

    assert first == second
    assert error.mean() < 2


def test_a_black_frame_is_known_through_noise():
    noise = np.random.default_rng(0).integers(0, 6, (32, 64, 3), dtype=np.uint8)

    assert Picture.of(noise, TINY).is_black


def test_a_night_with_one_lamp_is_not_black():
    night = np.zeros((32, 64, 3), dtype=np.uint8)
    night[2:8, 10:16] = 255

    assert not Picture.of(night, TINY).is_black


def test_a_frozen_frame_is_known_through_noise():
    noise = np.random.default_rng(0).integers(0, 6, (32, 64, 3), dtype=np.uint8)

    assert Picture.of(painted(1), TINY).shows_the_same_as(Picture.of(painted(1) + noise // 3, TINY))


@pytest.mark.parametrize(("brighter", "same"), [(1, True), (3, False)])
def test_two_moments_may_differ_in_one_place_only(brighter, same):
    later = painted(1)
    later[16:, 48:] += np.uint8(brighter)

    assert Picture.of(later, TINY).shows_the_same_as(Picture.of(painted(1), TINY)) is same


def test_two_moments_differ():
    assert not Picture.of(painted(1), TINY).shows_the_same_as(Picture.of(painted(2), TINY))


def test_what_is_no_picture_is_named():
    with pytest.raises(DataError, match=r"a\.jpg: no readable JPEG or PNG;"):
        decoded(b"not a picture", "a.jpg")


def test_a_picture_cut_short_is_named():
    out = io.BytesIO()
    Pillow.fromarray(painted(3)).save(out, "PNG")

    with pytest.raises(DataError, match=r"no readable JPEG or PNG \("):
        decoded(out.getvalue()[:-40], "a.png")


@pytest.mark.filterwarnings("ignore:.*")
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@given(changes=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_damaged_picture_is_a_picture_or_an_error_of_ours(kind, changes):
    out = io.BytesIO()
    Pillow.fromarray(painted(3)).save(out, kind)
    data = bytearray(out.getvalue())
    for place, value in changes:
        data[place % len(data)] = value

    with contextlib.suppress(DataError):
        assert decoded(bytes(data), "a").shape[2] == 3


def test_a_picture_of_another_format_is_named():
    out = io.BytesIO()
    Pillow.fromarray(painted(3)).save(out, "BMP")

    with pytest.raises(DataError, match="JPEG or PNG"):
        decoded(out.getvalue(), "a.bmp")


def test_a_pinhole_is_scaled_exactly():
    inner = {"fx": 1000.0, "fy": 1000.0, "cx": 959.5, "cy": 539.5}
    model = CameraModel(model="pinhole", intrinsics=inner, ego_from_camera=POSE, width=1920, height=1080)
    small = resized_model(model, 576, 320)

    assert small.intrinsics == pytest.approx({"fx": 300.0, "fy": 8000 / 27, "cx": 287.5, "cy": 159.5})
    assert (small.width, small.height) == (576, 320)


def test_both_polynomials_of_an_ftheta_camera_speak_of_the_new_pixels():
    inner = {"fw_poly_1": 900.0, "bw_poly_1": 1 / 900.0, "bw_poly_0": 0.1, "fw_poly_0": 0.0, "cx": 0.0, "cy": 0.0}
    model = CameraModel(model="ftheta", intrinsics=inner, ego_from_camera=POSE, width=1000, height=500)
    small = resized_model(model, 500, 250).intrinsics

    assert small["fw_poly_1"] == pytest.approx(450.0)
    assert small["bw_poly_1"] == pytest.approx(1 / 450.0)
    assert small["bw_poly_0"] == 0.1
