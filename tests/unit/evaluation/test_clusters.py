"""What is resampled."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from touge.evaluation.clusters import APART_US, BLOCK_US, cluster

from .paths import arc, make_sample

FUTURE = arc(80.0)


def one_drive(times_s: list[int]) -> list:
    return [make_sample(FUTURE, t0_us=time * 1_000_000) for time in times_s]


def test_windows_of_a_drive_are_one_cluster():
    found = cluster([make_sample(FUTURE, drive=name) for name in ("b", "a", "b")])

    assert (found.kind, found.count) == ("drive", 2)
    assert found.index.tolist() == [1, 0, 1]


def test_a_physical_ai_av_clip_is_named_so():
    found = cluster([make_sample(FUTURE, drive=name, reader="physical-ai-av") for name in ("a", "b")])

    assert found.kind == "clip"


def test_within_one_drive_blocks_of_a_minute_lie_eight_seconds_apart():
    found = cluster(one_drive(list(range(140))))

    assert found.kind == "block_60s"
    assert found.index.tolist() == [0] * 60 + [-1] * 7 + [1] * 60 + [-1] * 7 + [2] * 6


def test_a_pause_in_the_drive_counts_as_a_gap():
    found = cluster(one_drive([*range(10), *range(100, 110)]))

    assert found.index.tolist() == [0] * 10 + [1] * 10


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=80, unique=True))
def test_windows_of_different_blocks_share_no_pose(times):
    found = cluster(one_drive(times))
    at = np.array(times) * 1_000_000

    for block in range(found.count):
        inside = at[found.index == block]
        later = at[found.index > block]
        assert inside.max() - inside.min() < BLOCK_US
        assert not len(later) or later.min() - inside.max() >= APART_US
