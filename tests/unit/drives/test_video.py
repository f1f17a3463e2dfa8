"""Pictures to mp4 and back."""

import numpy as np
import pytest

from touge.contract.errors import DataError
from touge.drives.video import decode, encode

GREYS = [np.full((32, 64, 3), 8 * number, np.uint8) for number in range(25)]
VIDEO = encode(GREYS, width=64, height=32, fps=10)


def decoded(indices, data: bytes = VIDEO, expected: int = 25) -> list[float]:
    return [float(frame.mean()) for frame in decode(data, indices, expected=expected, source="clip.mp4")]


def test_pictures_come_back_in_order():
    assert decoded(range(25)) == pytest.approx([8 * number for number in range(25)], abs=3)


def test_only_the_frames_that_are_asked_for_come_back():
    assert decoded([2, 2, 11, 24]) == pytest.approx([16, 16, 88, 192], abs=3)


def test_nothing_asked_gives_nothing():
    assert decoded([]) == []


def test_equal_pictures_make_equal_bytes():
    assert encode(GREYS, width=64, height=32, fps=10) == VIDEO


@pytest.mark.parametrize("indices", [[3, 2], [-1], [25]])
def test_indices_that_cannot_be_are_refused(indices):
    with pytest.raises(ValueError, match=r"indices must not decrease and lie in 0\.\.24"):
        decoded(indices)


@pytest.mark.parametrize("kept", [0, 100, len(VIDEO) // 2, len(VIDEO) - 300])
def test_a_truncated_video_is_an_error_with_both_counts(kept):
    with pytest.raises(DataError, match=r"clip.mp4: expected 25 frames, decoded \d+"):
        decoded(range(25), VIDEO[:kept])


def test_a_video_whose_pictures_are_damaged_is_an_error():
    start = VIDEO.index(b"mdat") + 4
    with pytest.raises(DataError, match=r"clip.mp4: expected 25 frames, decoded \d+"):
        decoded(range(25), VIDEO[:start] + bytes(VIDEO.index(b"moov") - start) + VIDEO[VIDEO.index(b"moov") :])


def test_another_number_of_frames_than_promised_is_an_error():
    with pytest.raises(DataError, match="timestamps list 30 frames, the video holds 25"):
        decoded([0], expected=30)
