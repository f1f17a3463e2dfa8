"""Drives in CSV and Parquet files."""

from pathlib import Path

import numpy as np
import pytest

from touge.contract.errors import DataError
from touge.contract.recipe import TableSource
from touge.drives.drive import Drive
from touge.drives.parquet import write_table
from touge.drives.readers.table import TableReader, dead_reckoned
from touge.storage import open_store

RECKONING = {"kind": "dead-reckoning", "steering": "angle", "speed": "speed", "steering_ratio": 14.8, "wheelbase": 2.85}
POSITIONS = {"kind": "positions", "x": "x", "y": "y", "yaw": "yaw"}
NANOSECONDS = {"column": "t", "unit": "ns"}
SECONDS = {"column": "t", "unit": "s"}


def read(path: Path, motion: dict, timestamp: dict, **more: object) -> Drive:
    source = TableSource(format="table", uri=f"file://{path}", motion=motion, timestamp=timestamp, **more)
    (reference,) = TableReader(source, open_store).drives()
    return reference.open()


def csv(path: Path, header: str, rows: np.ndarray) -> Path:
    lines = [",".join(repr(value) for value in row) for row in rows.tolist()]
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def circling(path: Path, seconds: float = 20.0) -> Path:
    """Write a drive at 10 m/s around a circle of 50 m to the left."""
    t = np.arange(0, seconds, 0.05)
    wheel = np.arctan(2.85 / 50) * 14.8
    return csv(path, "t,angle,speed", np.column_stack([t, np.full_like(t, wheel), np.full_like(t, 10.0)]))


def test_steering_to_the_left_drives_a_circle_to_the_left():
    t_us = (np.arange(0, 10 * np.pi, 0.01) * 1e6).astype(np.int64)
    wheel = np.full(len(t_us), np.arctan(2.85 / 50) * 14.8)
    x, y, yaw = dead_reckoned(t_us, wheel, np.full(len(t_us), 10.0), 14.8, 2.85).T

    assert y.max() == pytest.approx(100, abs=0.1)
    assert yaw[-1] == pytest.approx(2 * np.pi, abs=0.01)
    np.testing.assert_allclose([x[-1], y[-1]], 0, atol=0.2)


def test_a_file_is_a_drive(tmp_path):
    drive = read(circling(tmp_path / "part2.csv"), RECKONING, SECONDS, region="US")

    assert (drive.id, drive.country, drive.place, drive.global_frame) == ("part2", "US", None, False)
    assert drive.provenance.reader == "table"
    assert drive.cameras == {}
    np.testing.assert_array_equal(drive.poses.speed, 10)


def test_a_folder_is_read_file_by_file(tmp_path):
    for name in ("b.csv", "a.csv", "notes.txt"):
        circling(tmp_path / name)
    source = TableSource(format="table", uri=f"file://{tmp_path}", motion=RECKONING, timestamp=SECONDS)

    assert [ref.id for ref in TableReader(source, open_store).drives()] == ["a", "b"]


@pytest.mark.parametrize(
    ("unit", "values"),
    [
        ("s", [1.5e9, 1.5e9 + 0.1]),
        ("ms", [1_500_000_000_000, 1_500_000_000_100]),
        ("us", [1_500_000_000_000_000, 1_500_000_000_100_000]),
        ("ns", [1_500_000_000_000_000_000, 1_500_000_000_100_000_999]),
    ],
)
def test_time_becomes_microseconds(tmp_path, unit, values):
    path = tmp_path / "drive.parquet"
    path.write_bytes(write_table({"t": values, "x": [0.0, 1.0], "y": [0.0, 0.0], "yaw": [0.0, 0.0]}))
    t_us = read(path, POSITIONS, {"column": "t", "unit": unit}).poses.t_us

    assert t_us.tolist() == [1_500_000_000_000_000, 1_500_000_000_100_000]


def test_positions_and_a_heading_are_taken_as_they_are(tmp_path):
    rows = np.array([[0.0, 5.0, 6.0, np.pi / 2], [0.1, 5.0, 7.0, np.pi / 2]])
    drive = read(csv(tmp_path / "d.csv", "t,x,y,yaw", rows), POSITIONS, SECONDS)

    np.testing.assert_allclose(drive.poses.xyz, [[5, 6, 0], [5, 7, 0]])
    np.testing.assert_allclose(drive.poses.quat[0], [0, 0, np.sqrt(0.5), np.sqrt(0.5)])
    assert np.isnan(drive.poses.speed).all()
    assert drive.global_frame


def test_a_quaternion_and_a_height_are_taken_as_they_are(tmp_path):
    motion = {"kind": "positions", "x": "x", "y": "y", "z": "z", "quaternion": ["qx", "qy", "qz", "qw"], "speed": "v"}
    rows = np.array([[0.0, 1.0, 2.0, 3.0, 0.0, 0.1, 0.0, 0.995, 9.0], [0.1, 2.0, 2.0, 3.1, 0.0, 0.1, 0.0, 0.995, 9.5]])
    poses = read(csv(tmp_path / "d.csv", "t,x,y,z,qx,qy,qz,qw,v", rows), motion, SECONDS).poses

    assert poses.xyz[:, 2].tolist() == [3.0, 3.1]
    assert poses.speed.tolist() == [9.0, 9.5]
    np.testing.assert_allclose(np.linalg.norm(poses.quat, axis=1), 1)


def test_repeated_timestamps_are_left_out_and_counted(tmp_path):
    rows = np.array([[0.0, 0.0, 0, 0], [0.1, 1.0, 0, 0], [0.1, 1.0, 0, 0], [0.2, 2.0, 0, 0]])
    drive = read(csv(tmp_path / "d.csv", "t,x,y,yaw", rows), POSITIONS, SECONDS)

    assert len(drive.poses) == 3
    assert drive.notes["repeated_timestamps"] == 1


def test_held_fixes_are_kept_and_counted(tmp_path):
    rows = np.array([[0.0, 0.0, 0, 0], [0.1, 1.0, 0, 0], [0.2, 1.0, 0, 0], [0.3, 3.0, 0, 0]])
    drive = read(csv(tmp_path / "d.csv", "t,x,y,yaw", rows), POSITIONS, SECONDS)

    assert len(drive.poses) == 4
    assert drive.notes["repeated_fixes"] == 1


def test_time_that_runs_back_is_an_error(tmp_path):
    rows = np.array([[0.0, 0.0, 0, 0], [0.2, 1.0, 0, 0], [0.1, 2.0, 0, 0]])

    with pytest.raises(DataError, match=r"d.csv: time does not increase in 1 rows, first in row 2"):
        read(csv(tmp_path / "d.csv", "t,x,y,yaw", rows), POSITIONS, SECONDS)


def test_a_missing_column_is_named_beside_those_that_are_there(tmp_path):
    with pytest.raises(DataError, match="no column speed; it has t, angle, torque"):
        read(csv(tmp_path / "d.csv", "t,angle,torque", np.ones((3, 3))), RECKONING, SECONDS)


def test_a_missing_value_is_an_error(tmp_path):
    (tmp_path / "d.csv").write_text("t,x,y,yaw\n0,0,0,0\n0.1,,0,0\n0.2,2,0,0\n")

    with pytest.raises(DataError, match="position is not finite in 1 rows, first in row 1"):
        read(tmp_path / "d.csv", POSITIONS, SECONDS)


def test_a_missing_time_is_an_error(tmp_path):
    (tmp_path / "d.csv").write_text("t,x,y,yaw\n0,0,0,0\n,1,0,0\n")

    with pytest.raises(DataError, match="column t has no number in row 1"):
        read(tmp_path / "d.csv", POSITIONS, SECONDS)


def test_text_where_numbers_should_be_is_an_error(tmp_path):
    (tmp_path / "d.csv").write_text("t,x,y,yaw\n0,left,0,0\n0.1,right,0,0\n")

    with pytest.raises(DataError, match="column x holds string; expected numbers"):
        read(tmp_path / "d.csv", POSITIONS, SECONDS)


@pytest.mark.parametrize("content", ["", "t,x,y,yaw\n0,0\n", "t,x,y,yaw\n"])
def test_a_broken_or_empty_file_is_an_error(tmp_path, content):
    (tmp_path / "d.csv").write_text(content)

    with pytest.raises(DataError, match=r"d.csv"):
        read(tmp_path / "d.csv", POSITIONS, SECONDS)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"absent.csv is missing"):
        read(tmp_path / "absent.csv", POSITIONS, SECONDS)


def test_a_folder_without_tables_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"found no .csv or .parquet file"):
        read(tmp_path, POSITIONS, SECONDS)


def test_frames_can_be_drawn_along_the_path_and_say_so(tmp_path):
    look = {"render": "synthetic", "width": 64, "height": 32}
    drive = read(circling(tmp_path / "d.csv"), RECKONING, SECONDS, camera=look)

    assert "drawn" in drive.provenance.reader
    camera = drive.cameras["front_wide"]
    assert len(list(camera.frames([0, 5, 190]))) == 3
    assert (camera.model.width, camera.model.height) == (64, 32)
