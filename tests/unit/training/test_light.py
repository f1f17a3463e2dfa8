"""Training pictures in another light."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from touge.contract.recipe import Augmentation
from touge.training.light import Light, tone_curve

EVERYTHING = Augmentation(brightness=0.2, contrast=0.3, gamma=0.4, noise=0.02)


def picture(number, shape=(32, 64, 3)):
    return np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8)


def lit(frames, ranges=EVERYTHING, seed=0, step=0, sample="drive@1"):
    return Light(ranges, seed, step).on(sample, frames)


def test_the_four_frames_of_a_camera_change_alike_and_cameras_each_in_their_way():
    frames = [picture(1)] * 8

    found = lit(frames)

    assert all(np.array_equal(found[0], frame) for frame in found[1:4])
    assert all(np.array_equal(found[4], frame) for frame in found[5:8])
    assert not np.array_equal(found[0], found[4])


def test_the_light_follows_from_seed_step_and_sample():
    frames = [picture(1)] * 4
    usual = lit(frames)[0]

    assert np.array_equal(lit(frames)[0], usual)
    for other in ({"seed": 1}, {"step": 1}, {"sample": "drive@2"}):
        assert not np.array_equal(lit(frames, **other)[0], usual)


@pytest.mark.parametrize("field", ["brightness", "contrast", "gamma", "noise"])
def test_each_range_alone_changes_the_picture_and_zero_leaves_it(field):
    frames = [picture(1)] * 4

    assert not np.array_equal(lit(frames, Augmentation(**{field: 0.3}))[0], frames[0])
    assert np.array_equal(lit(frames, Augmentation())[0], frames[0])
    assert Augmentation().off
    assert not Augmentation(**{field: 0.3}).off


@given(step=st.integers(0, 1000))
def test_nothing_moves_or_mirrors(step):
    """A picture that is bright on the left only stays so."""
    left = np.zeros((32, 64, 3), np.uint8)
    left[:, :32] = 200

    (found, *_) = lit([left] * 4, step=step)

    assert found[:, :32].mean() > found[:, 32:].mean() + 50


@given(brightness=st.floats(-1, 1), contrast=st.floats(0, 2), gamma=st.floats(0.25, 4))
def test_a_brighter_level_never_becomes_a_darker_one(brightness, contrast, gamma):
    curve = tone_curve(brightness, contrast, gamma)

    assert (np.diff(curve.astype(int)) >= 0).all()


def test_a_tone_curve_has_its_known_answers():
    assert np.array_equal(tone_curve(0, 1, 1), np.arange(256))
    assert tone_curve(0.2, 1, 1)[100] == 151
    assert tone_curve(0, 0, 1)[7] == 128
    assert tone_curve(0, 1, 2)[51] == round(255 * 0.2**2)
