"""The PhysicalAI-AV reader: what it reads, and what it says when the data is not right."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from touge.contract.errors import DataError
from touge.drives.drive import Drive, shard
from touge.drives.parquet import write_table
from touge.drives.readers.physical_ai_av import PhysicalAiAvReader
from touge.drives.readers.physical_ai_av_catalogue import Catalogue
from touge.drives.synthetic.world import plans, record
from touge.storage import open_store

from .conftest import WORLD

PLAN = plans(WORLD)[0]
CLIP = PLAN.id
TRUNCATED = plans(WORLD)[3].id
EGOMOTION = "labels/egomotion/egomotion.chunk_0000.zip"
WIDE = "camera/camera_front_wide_120fov/camera_front_wide_120fov.chunk_0000.zip"


def reader(folder: Path, region: str | None = None) -> PhysicalAiAvReader:
    return PhysicalAiAvReader(Catalogue(open_store(f"file://{folder}"), region))


def opened(folder: Path, clip: str = CLIP) -> Drive:
    return next(ref for ref in reader(folder).drives() if ref.id == clip).open()


def rewrite(archive: Path, member: str, data: bytes | None) -> None:
    """Replace one member of a zip, or leave it out."""
    with zipfile.ZipFile(archive) as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(archive, "w") as new:
        for name, content in members.items():
            if name != member:
                new.writestr(name, content)
            elif data is not None:
                new.writestr(name, data)


def edit_poses(folder: Path, **changes: object) -> None:
    """Rewrite columns of the first clip's poses by functions of the column."""
    member = f"{CLIP}.egomotion.parquet"
    with zipfile.ZipFile(folder / EGOMOTION) as archive:
        table = pq.read_table(io.BytesIO(archive.read(member)))
    columns = {name: table.column(name).to_numpy().copy() for name in table.column_names}
    rewrite(folder / EGOMOTION, member, write_table(columns | {k: f(columns[k]) for k, f in changes.items()}))


def with_reasoning(folder: Path, events: object) -> Path:
    path = folder / "reasoning" / "ood_reasoning.parquet"
    path.parent.mkdir()
    text = events if isinstance(events, str) else json.dumps(events)
    other = plans(WORLD)[1].id
    path.write_bytes(write_table({"clip_id": [CLIP, other], "events": [text, None]}, index=("clip_id",)))
    return folder


def test_every_clip_is_listed_in_order(pristine):
    assert [ref.id for ref in reader(pristine).drives()] == [plan.id for plan in plans(WORLD)]


def test_shards_share_the_drives_among_them(pristine):
    parts = [[ref.id for ref in shard(reader(pristine).drives(), index, 3)] for index in range(3)]

    assert [len(part) for part in parts] == [2, 1, 1]
    assert sorted(clip for part in parts for clip in part) == [plan.id for plan in plans(WORLD)]


def test_poses_are_those_that_were_recorded(pristine):
    poses, log = opened(pristine).poses, record(WORLD, PLAN).log

    np.testing.assert_array_equal(poses.t_us, log.t_us)
    np.testing.assert_array_equal(poses.xyz, log.xyz)
    np.testing.assert_allclose(poses.quat, log.quat)
    np.testing.assert_allclose(poses.speed, np.linalg.norm(log.velocity, axis=1))


def test_a_drive_knows_its_place_country_and_origin(pristine):
    drive = opened(pristine)

    assert (drive.place, drive.country, drive.global_frame) == (PLAN.place, "Japan", False)
    assert drive.provenance.uri.endswith(f"{EGOMOTION}#{CLIP}.egomotion.parquet")
    assert len(drive.provenance.sha256) == 64


def test_frames_are_decoded_in_order_and_one_at_a_time(pristine):
    camera = opened(pristine).cameras["front_wide"]
    drawn = list(record(WORLD, PLAN).films["front_wide"].pictures())

    frames = camera.frames([3, 3, 17])
    for index in (3, 3, 17):
        assert np.abs(next(frames).astype(int) - drawn[index]).mean() < 6


def test_a_camera_knows_its_times_and_geometry(pristine):
    drive, recording = opened(pristine), record(WORLD, PLAN)

    np.testing.assert_array_equal(drive.cameras["front_tele"].t_us, recording.t_us)
    for name in ("front_wide", "front_tele"):
        ours, truth = drive.cameras[name].model, recording.films[name].model
        assert ours.model == "pinhole"
        assert ours.intrinsics == pytest.approx(truth.intrinsics)
        assert ours.ego_from_camera == pytest.approx(truth.ego_from_camera)


def test_real_lenses_keep_their_polynomials(world):
    path = world / "calibration/camera_intrinsics/camera_intrinsics.chunk_0000.parquet"
    table = pq.read_table(path)
    path.write_bytes(
        write_table({name: table.column(name).to_pylist() for name in table.column_names if name != "model"})
    )

    model = opened(world).cameras["front_wide"].model
    assert model.model == "ftheta"
    assert {"cx", "cy", "fw_poly_0", "fw_poly_4", "bw_poly_0", "bw_poly_4"} <= model.intrinsics.keys()


def test_a_camera_without_calibration_has_no_geometry(world):
    (world / "calibration/sensor_extrinsics/sensor_extrinsics.chunk_0000.parquet").unlink()

    assert opened(world).cameras["front_wide"].model is None


def test_a_change_of_rate_is_reported_as_it_is(world):
    edit_poses(world, timestamp=lambda t: np.where(np.arange(len(t)) < 100, t, t + (np.arange(len(t)) - 100) * 70_000))

    steps = np.diff(opened(world).poses.t_us)
    assert set(steps) == {10_000, 80_000}


def test_only_drives_of_the_region_are_read(pristine):
    assert len(list(reader(pristine, "JP").drives())) == 4
    with pytest.raises(DataError, match=r"other_region 4\).*region asked for: DE, countries there are: Japan"):
        list(reader(pristine, "DE").drives())


def test_invalid_clips_are_left_out(world):
    ids = [plan.id for plan in plans(WORLD)]
    table = {"clip_id": ids, "chunk": [0] * 4, "clip_is_valid": [True, False, True, True]}
    (world / "clip_index.parquet").write_bytes(write_table(table, index=("clip_id",)))

    assert [ref.id for ref in reader(world).drives()] == [ids[0], *ids[2:]]
    assert reader(world).left_out == {"clip_is_invalid": 1}


def test_a_copy_may_hold_some_chunks_only(world):
    ids = [plan.id for plan in plans(WORLD)]
    table = {"clip_id": ids, "chunk": [0, 0, 7, 0], "clip_is_valid": [True] * 4}
    (world / "clip_index.parquet").write_bytes(write_table(table, index=("clip_id",)))

    assert [ref.id for ref in reader(world).drives()] == [*ids[:2], ids[3]]
    assert reader(world).left_out == {"chunk_not_in_this_copy": 1}


def test_the_real_data_set_has_no_places(world):
    ids = [plan.id for plan in plans(WORLD)]
    collected = write_table({"clip_id": ids, "country": ["Japan"] * 4}, index=("clip_id",))
    (world / "metadata/data_collection.parquet").write_bytes(collected)

    assert opened(world).place is None


def test_a_release_before_26_03_names_its_presence_table_otherwise(world):
    (world / "metadata/feature_presence.parquet").rename(world / "metadata/sensor_presence.parquet")

    assert set(opened(world).cameras) == {"front_wide", "front_tele"}


def test_a_camera_that_a_clip_lacks_is_not_there(world):
    ids = [plan.id for plan in plans(WORLD)]
    columns = {"egomotion": [True] * 4, "camera_front_wide_120fov": [False, True, True, True]}
    table = write_table({"clip_id": ids, **columns}, index=("clip_id",))
    (world / "metadata/feature_presence.parquet").write_bytes(table)

    assert set(opened(world).cameras) == {"front_tele"}


@pytest.mark.parametrize("key", ["coc", "cot"])
def test_reasoning_is_read_under_either_name(world, key):
    later = {"event_start_frame": 20, "event_start_timestamp": 9_000_000, key: "Keep lane."}
    sooner = {"event_start_frame": 10, "event_start_timestamp": 3_000_000, key: " Slow down for the left curve. "}

    events = opened(with_reasoning(world, [later, sooner])).reasoning
    assert [(event.t_us, event.text) for event in events] == [
        (3_000_000, "Slow down for the left curve."),
        (9_000_000, "Keep lane."),
    ]


def test_a_clip_without_events_has_no_reasoning(world):
    with_reasoning(world, [{"event_start_timestamp": 1, "coc": "Keep lane."}])

    assert opened(world, plans(WORLD)[1].id).reasoning == ()


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (
            [{"event_start_timestamp": 5, "coc": " "}],
            rf"clip {CLIP}: no text under coc or cot in the events at \[5\] us",
        ),
        ([{"event_start_timestamp": 5, "thoughts": "Go."}], "no text under coc or cot"),
        ([{"coc": "Keep lane."}], "expected a JSON list of events with event_start_timestamp and coc"),
        ("not json", "expected a JSON list of events"),
    ],
)
def test_reasoning_that_would_train_silence_is_an_error(world, events, message):
    with pytest.raises(DataError, match=message):
        opened(with_reasoning(world, events))


def test_a_missing_chunk_is_named(world):
    (world / EGOMOTION).unlink()

    with pytest.raises(
        DataError, match=r"chunk_not_in_this_copy 4\). Ego motion is expected in labels/egomotion/egomotion.chunk_"
    ):
        opened(world)


def test_a_missing_camera_chunk_is_named_when_its_frames_are_asked_for(world):
    (world / WIDE).unlink()

    camera = opened(world).cameras["front_wide"]
    with pytest.raises(DataError, match=rf"{WIDE} is missing"):
        list(camera.frames([0]))


def test_a_missing_member_is_named(world):
    rewrite(world / EGOMOTION, f"{CLIP}.egomotion.parquet", None)

    with pytest.raises(DataError, match=rf"{EGOMOTION}: holds no {CLIP}.egomotion.parquet"):
        opened(world)


def test_a_cut_zip_is_named(world):
    (world / EGOMOTION).write_bytes((world / EGOMOTION).read_bytes()[:-200])

    with pytest.raises(DataError, match=rf"{EGOMOTION} is not a whole zip file"):
        opened(world)


def test_a_damaged_member_is_named(world):
    data = bytearray((world / EGOMOTION).read_bytes())
    data[2000:2010] = b"0123456789"
    (world / EGOMOTION).write_bytes(data)

    with pytest.raises(DataError, match=rf"{EGOMOTION} is not a whole zip file \({CLIP}.egomotion.parquet"):
        opened(world)


def test_a_table_that_is_no_parquet_is_named(world):
    (world / "clip_index.parquet").write_bytes(b"<html>429 Too Many Requests</html>")

    with pytest.raises(DataError, match=r"clip_index.parquet is not a readable Parquet file"):
        list(reader(world).drives())


def test_a_truncated_video_is_named_with_both_counts(pristine):
    camera = opened(pristine, TRUNCATED).cameras["front_wide"]

    with pytest.raises(DataError, match=rf"{TRUNCATED}.camera_front_wide_120fov.mp4: expected 21 frames, decoded 0"):
        list(camera.frames(range(21)))


def test_a_video_with_other_frames_than_timestamps_is_named(world):
    stem = f"{CLIP}.camera_front_wide_120fov"
    rewrite(world / WIDE, f"{stem}.timestamps.parquet", write_table({"timestamp": np.arange(30) * 100_000}))

    with pytest.raises(DataError, match="timestamps list 30 frames, the video holds 21"):
        list(opened(world).cameras["front_wide"].frames([0]))


def test_a_pose_that_is_not_a_number_is_named(world):
    edit_poses(world, x=lambda x: np.where(np.arange(len(x)) == 7, np.nan, x))

    with pytest.raises(DataError, match=rf"{CLIP}.egomotion.parquet: position is not finite in 1 rows, first in row 7"):
        opened(world)


def test_all_faults_of_the_poses_are_named_at_once(world):
    edit_poses(world, qw=np.zeros_like, qz=np.zeros_like, timestamp=lambda t: t[::-1].copy())

    with pytest.raises(DataError, match=r"quaternion has no length in .*; time does not increase in"):
        opened(world)


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(DataError, match="is missing"):
        list(reader(tmp_path).drives())
