"""Faults of logs."""

import numpy as np
import pytest

from touge.drives.synthetic.defects import Defect, delivered, faulty_log, faulty_video
from touge.drives.synthetic.world import WorldSpec, plans, record

SPEC = WorldSpec(clip_s=6.0, drives=1)
LOG = record(SPEC, plans(SPEC)[0]).log
FRAMES = np.arange(61) * 100_000


def test_a_sound_drive_stays_as_it_is():
    assert faulty_log(LOG, None) is LOG


def test_a_dropout_leaves_a_gap_of_a_second():
    assert np.diff(faulty_log(LOG, Defect.DROPOUT).t_us).max() == 1_010_000


def test_a_jump_moves_everything_after_it_by_three_metres():
    moved = faulty_log(LOG, Defect.JUMP).xyz - LOG.xyz

    assert moved[0].tolist() == [0, 0, 0]
    assert moved[-1].tolist() == pytest.approx([0, 3, 0])


def test_a_repeated_fix_stands_still_for_a_second():
    steps = np.linalg.norm(np.diff(faulty_log(LOG, Defect.REPEATED_FIX).xyz, axis=0), axis=1)

    assert (steps == 0).sum() == 99
    assert steps.max() > 5


def test_one_pose_is_not_a_number():
    assert np.isnan(faulty_log(LOG, Defect.NAN_POSE).xyz).any(axis=1).sum() == 1


def test_a_wrong_sign_turns_yaw_against_the_course():
    log = faulty_log(LOG, Defect.WRONG_SIGN)

    np.testing.assert_array_equal(log.yaw, -LOG.yaw)
    np.testing.assert_array_equal(log.xyz, LOG.xyz)


def test_a_wrong_speed_is_in_kilometres_per_hour():
    np.testing.assert_allclose(faulty_log(LOG, Defect.WRONG_SPEED).velocity, LOG.velocity * 3.6)


def test_a_skewed_clock_is_late_and_fast():
    skewed = delivered(FRAMES, Defect.CLOCK_SKEW)

    assert skewed.t_us[0] == 250_000
    assert np.diff(skewed.t_us).mean() == pytest.approx(103_000)
    np.testing.assert_array_equal(skewed.shown_us, FRAMES)


def test_missing_frames_have_no_timestamps():
    kept = delivered(FRAMES, Defect.MISSING_FRAMES)

    assert len(kept.t_us) == len(kept.black) == 51
    assert np.diff(kept.t_us).max() == 1_100_000


def test_frozen_frames_show_one_moment_for_a_second():
    shown = delivered(FRAMES, Defect.FROZEN_FRAMES)

    assert (np.diff(shown.shown_us) == 0).sum() == 9
    np.testing.assert_array_equal(shown.t_us, FRAMES)


def test_black_frames_last_a_second():
    assert delivered(FRAMES, Defect.BLACK_FRAMES).black.sum() == 10


def test_a_truncated_video_is_shorter_than_the_whole():
    assert len(faulty_video(b"x" * 300, Defect.TRUNCATED_VIDEO)) == 200
    assert faulty_video(b"whole", None) == b"whole"
