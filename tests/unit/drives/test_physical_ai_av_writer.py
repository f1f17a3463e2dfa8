"""The writer, judged by the data set's own devkit and by its own promises."""

import shutil
from pathlib import Path

import numpy as np
import physical_ai_av
import pytest
from physical_ai_av.utils.camera_models import FThetaCameraModel

from touge.contract.errors import DataError, InfrastructureError
from touge.drives.physical_ai_av_writer import ftheta_polynomials, write_world
from touge.drives.synthetic import pinhole
from touge.drives.synthetic.world import WorldSpec, plans, record

from .conftest import WORLD

REVISION = "0" * 40


@pytest.fixture
def devkit(pristine, tmp_path) -> physical_ai_av.PhysicalAIAVDatasetInterface:
    """Return the official reader over the world, laid out as its download cache."""
    snapshot = tmp_path / "datasets--nvidia--PhysicalAI-Autonomous-Vehicles" / "snapshots" / REVISION
    shutil.copytree(pristine, snapshot)
    return physical_ai_av.PhysicalAIAVDatasetInterface(revision=REVISION, cache_dir=tmp_path, token=False)


def test_the_devkit_lists_the_clips(devkit):
    assert devkit.clip_index.index.tolist() == [plan.id for plan in plans(WORLD)]
    assert devkit.clip_index.clip_is_valid.all()
    assert devkit.data_collection.country.unique().tolist() == ["Japan"]


def test_the_devkit_reads_the_ego_motion(devkit):
    plan = plans(WORLD)[0]
    motion = devkit.get_clip_feature(plan.id, devkit.features.LABELS.EGOMOTION)

    log = record(WORLD, plan).log
    np.testing.assert_allclose(motion(log.t_us).pose.translation, log.xyz, atol=1e-9)
    np.testing.assert_allclose(motion(log.t_us).pose.rotation.as_euler("ZYX")[:, 0], log.yaw, atol=1e-9)
    np.testing.assert_allclose(motion(log.t_us).curvature[:, 0], log.curvature)


def test_the_devkit_decodes_the_frames(devkit):
    plan = plans(WORLD)[1]
    reader = devkit.get_clip_feature(plan.id, devkit.features.CAMERA.CAMERA_FRONT_WIDE_120FOV)

    recording = record(WORLD, plan)
    decoded, times = reader.decode_images_from_timestamps(recording.t_us)
    drawn = np.array(list(recording.films["front_wide"].pictures()))
    np.testing.assert_array_equal(times, recording.t_us)
    assert np.abs(decoded.astype(int) - drawn).mean() < 6


def test_the_devkit_reads_the_calibration(devkit):
    clip = plans(WORLD)[0].id
    extrinsics = devkit.get_clip_feature(clip, "sensor_extrinsics").sensor_poses["camera_front_wide_120fov"]
    intrinsics = devkit.get_clip_feature(clip, "camera_intrinsics").camera_models["camera_front_wide_120fov"]

    forward = extrinsics.rotation.apply([0.0, 0.0, 1.0])
    np.testing.assert_allclose(forward, [1, 0, 0], atol=1e-9)
    assert (intrinsics.width, intrinsics.height) == (64, 32)


@pytest.mark.parametrize("view", [30, 70, 120])
def test_the_polynomials_project_as_the_pinhole_does(view):
    seen = pinhole.rays("front_wide", 640, 320, view)
    model = pinhole.model(seen)
    row = {"width": 640, "height": 320, "cx": 320.0, "cy": seen.centre[1], **ftheta_polynomials(model)}
    ray = np.array([[0.3, 0.1, 1.0], [-0.2, 0.15, 1.0]]) * [seen.width / 2 / seen.focal, 1, 1]

    pixels = FThetaCameraModel.from_camera_row(row).ray2pixel(ray)
    np.testing.assert_allclose(pixels, ray[:, :2] * seen.focal + seen.centre, atol=view / 40)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_equal_worlds_are_equal_files_whatever_the_number_of_processes(tmp_path):
    spec = WorldSpec(drives=21, clip_s=0.3, width=32, height=16)
    write_world(spec, tmp_path / "one", workers=1)
    write_world(spec, tmp_path / "two", workers=2)

    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_a_folder_that_holds_something_is_refused(tmp_path):
    (tmp_path / "precious.txt").write_text("mine")

    with pytest.raises(DataError, match="is not empty"):
        write_world(WORLD, tmp_path)
    assert files(tmp_path) == {"precious.txt": b"mine"}


def test_a_folder_that_cannot_be_is_explained(tmp_path):
    (tmp_path / "file").write_text("mine")

    with pytest.raises(InfrastructureError, match=r"drives: the world was not written: Not a directory"):
        write_world(WORLD, tmp_path / "file" / "drives", workers=1)


def test_a_world_that_was_not_finished_cannot_be_read(pristine):
    newest = max(pristine.rglob("*.*"), key=lambda path: path.stat().st_mtime_ns)

    assert newest.name == "clip_index.parquet"
