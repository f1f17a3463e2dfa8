"""Where windows lie and which frames they see."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from touge.curation.windows import frame_times, nearest_frames, window_starts

SECOND = 1_000_000


def test_the_first_window_has_a_whole_history():
    assert window_starts(0, 20 * SECOND, 1.0)[0] == 1_600_000


def test_windows_with_a_short_future_are_listed_so_that_they_can_be_counted():
    assert window_starts(0, 20 * SECOND, 1.0)[-1] == 19_600_000


def test_a_drive_shorter_than_a_history_has_no_window():
    assert len(window_starts(0, SECOND, 1.0)) == 0


def test_a_window_is_moved_onto_the_frame_beside_it():
    frames = np.arange(0, 20 * SECOND, 100_000) + 30_000

    assert (window_starts(0, 20 * SECOND, 1.0, frames)[:2] == [1_630_000, 2_630_000]).all()


def test_a_window_stays_where_no_frame_is_near():
    frames = np.array([0, 33_000, 10 * SECOND])

    assert window_starts(0, 4 * SECOND, 1.0, frames).tolist() == [1_600_000, 2_600_000, 3_600_000]


@given(st.floats(0.05, 3.0), st.integers(5, 60))
def test_no_window_comes_twice(stride, fps):
    frames = (np.arange(30 * fps) * SECOND / fps).astype(np.int64)
    starts = window_starts(0, 30 * SECOND, stride, frames)

    assert (np.diff(starts) > 0).all()


def test_frames_are_three_tenths_of_a_second():
    assert frame_times(SECOND).tolist() == [700_000, 800_000, 900_000, 1_000_000]


def test_the_nearest_frames_are_taken():
    frames = np.arange(0, 3 * SECOND, 33_333)

    assert nearest_frames(frames, SECOND).tolist() == [21, 24, 27, 30]


def test_a_frame_that_is_missing_is_not_replaced():
    frames = np.delete(np.arange(0, 3 * SECOND, 100_000), 9)

    assert nearest_frames(frames, SECOND) is None


def test_a_camera_that_is_too_slow_gives_no_frames():
    assert nearest_frames(np.arange(0, 9 * SECOND, 250_000), 2 * SECOND) is None


def test_a_camera_of_three_frames_gives_none():
    assert nearest_frames(np.array([0, 100_000, 200_000]), 300_000) is None
