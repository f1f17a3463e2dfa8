"""The port: poses that are checked, drives that are shared out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from touge.contract.errors import DataError
from touge.drives.drive import DriveRef, Poses, checked_poses, shard


def poses(count: int = 5, **changes: np.ndarray) -> Poses:
    upright = np.tile([0.0, 0.0, 0.0, 1.0], (count, 1))
    columns = {
        "t_us": np.arange(count) * 10_000,
        "xyz": np.zeros((count, 3)),
        "quat": upright,
        "speed": np.full(count, np.nan),
    }
    return checked_poses(**(columns | changes), source="log.csv")


def test_good_poses_are_taken():
    assert len(poses()) == 5


def test_quaternions_are_normalised():
    np.testing.assert_allclose(poses(quat=np.tile([0.0, 0.0, 0.0, 1.01], (5, 1))).quat[:, 3], 1)


def test_one_pose_is_no_drive():
    with pytest.raises(DataError, match=r"log.csv: given 1 poses; a drive needs at least 2"):
        poses(1)


def test_the_first_bad_row_of_each_kind_is_named():
    xyz = np.zeros((5, 3))
    xyz[3, 1] = np.inf

    with pytest.raises(
        DataError, match=r"not finite in 1 rows, first in row 3; time does not increase in 1 rows.*row 2"
    ):
        poses(xyz=xyz, t_us=np.array([0, 10, 10, 20, 30]))


def never() -> None:
    raise AssertionError("listing must not open")


@given(st.lists(st.text(min_size=1), unique=True), st.integers(1, 7))
def test_shards_are_a_partition_in_the_order_of_ids(names, count):
    parts = [[ref.id for ref in shard(iter([DriveRef(n, never) for n in names]), k, count)] for k in range(count)]

    assert sorted(name for part in parts for name in part) == sorted(names)
    assert all(part == sorted(part) for part in parts)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
