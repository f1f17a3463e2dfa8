"""Writes a synthetic world in the PhysicalAI-AV layout, so that it is read like the real data set.

Beside the real columns: `metadata/data_collection.parquet` carries `place`, a key that drives on one
road share, because clips have frames of their own and could not be split by place otherwise;
`camera_intrinsics` carries `model`, because the synthetic camera is an exact pinhole.
Equal specifications give equal bytes, whatever the number of processes.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from touge.contract.errors import DataError, InfrastructureError
from touge.contract.sample import CameraModel
from touge.drives.parquet import write_table
from touge.drives.physical_ai_av import (
    CAMERA_FEATURES,
    CLIP_INDEX,
    DATA_COLLECTION,
    EGOMOTION,
    EXTRINSICS,
    FEATURE_PRESENCE,
    FEATURES,
    INTRINSICS,
    PLACE,
    POLYNOMIAL_DEGREE,
    SPLITS,
)
from touge.drives.synthetic.defects import faulty_video
from touge.drives.synthetic.egolog import EgoLog
from touge.drives.synthetic.world import DrivePlan, Recording, WorldSpec, plans, record
from touge.drives.video import encode

#: Clips a chunk; the real data set has some hundred.
CHUNK = 20
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_world(spec: WorldSpec, folder: Path, *, workers: int = 2) -> None:
    """Write all drives of a world, the index last: a world that was not finished cannot be read.

    Args:
        spec: The world.
        folder: Root of the layout; must be empty or new.
        workers: Processes.

    Raises:
        DataError: If the folder holds something already.
        InfrastructureError: If the disk is full or the folder cannot be written.
    """
    drives = plans(spec)
    chunks = [drives[start : start + CHUNK] for start in range(0, len(drives), CHUNK)]
    try:
        if folder.exists() and any(folder.iterdir()):
            raise DataError(f"{folder} is not empty; a world is written into a folder of its own")
        _write_chunks(partial(_write_chunk, spec, folder), chunks, workers)
        _write_metadata(spec, drives, folder)
    except OSError as error:
        message = f"{folder}: the world was not written: {error.strerror}. Free some space or choose another folder"
        raise InfrastructureError(message) from error


def _write_chunks(
    write: Callable[[int, Sequence[DrivePlan]], None], chunks: Sequence[Sequence[DrivePlan]], workers: int
) -> None:
    if min(workers, len(chunks)) <= 1:
        for number, drives in enumerate(chunks):
            write(number, drives)
        return
    with ProcessPoolExecutor(min(workers, len(chunks)), mp_context=get_context("spawn")) as pool:
        for _ in pool.map(write, range(len(chunks)), chunks):
            pass


def _write_chunk(spec: WorldSpec, folder: Path, chunk: int, drives: Sequence[DrivePlan]) -> None:
    """Write one chunk of every feature; holds the encoded files of one chunk, never its pictures."""
    egomotion: dict[str, bytes] = {}
    videos: dict[str, dict[str, bytes]] = {name: {} for name in spec.cameras}
    geometry: list[tuple[str, str, CameraModel]] = []
    for plan in drives:
        recording = record(spec, plan)
        egomotion[f"{plan.id}.egomotion.parquet"] = _egomotion(recording.log)
        for name, film in recording.films.items():
            geometry.append((plan.id, CAMERA_FEATURES[name], film.model))
            videos[name] |= _camera_files(spec, recording, name)
    _write_zip(folder / _chunk_path("labels", EGOMOTION, chunk, "zip"), egomotion)
    for name, files in videos.items():
        _write_zip(folder / _chunk_path("camera", CAMERA_FEATURES[name], chunk, "zip"), files)
    _write(folder / _chunk_path("calibration", INTRINSICS, chunk, "parquet"), _intrinsics(geometry))
    _write(folder / _chunk_path("calibration", EXTRINSICS, chunk, "parquet"), _extrinsics(geometry))


def _camera_files(spec: WorldSpec, recording: Recording, name: str) -> dict[str, bytes]:
    stem = f"{recording.plan.id}.{CAMERA_FEATURES[name]}"
    pictures = recording.films[name].pictures()
    video = encode(pictures, width=spec.width, height=spec.height, fps=spec.fps)
    return {
        f"{stem}.mp4": faulty_video(video, recording.plan.defect),
        f"{stem}.timestamps.parquet": write_table({"timestamp": recording.t_us}),
    }


def _egomotion(log: EgoLog) -> bytes:
    columns: dict[str, np.ndarray] = {"timestamp": log.t_us}
    for names, values in (
        (("qx", "qy", "qz", "qw"), log.quat),
        (("x", "y", "z"), log.xyz),
        (("vx", "vy", "vz"), log.velocity),
        (("ax", "ay", "az"), log.acceleration),
    ):
        columns |= dict(zip(names, values.T, strict=True))
    return write_table(columns | {"curvature": log.curvature})


def _intrinsics(geometry: Sequence[tuple[str, str, CameraModel]]) -> bytes:
    rows = [
        {"clip_id": clip, "camera_name": camera, "model": model.model, "width": model.width, "height": model.height}
        | {"cx": model.intrinsics["cx"], "cy": model.intrinsics["cy"]}
        | ftheta_polynomials(model)
        for clip, camera, model in geometry
    ]
    return write_table(_columns(rows), index=("clip_id", "camera_name"))


def _extrinsics(geometry: Sequence[tuple[str, str, CameraModel]]) -> bytes:
    rows = []
    for clip, camera, model in geometry:
        matrix = np.array(model.ego_from_camera).reshape(4, 4)
        quat = Rotation.from_matrix(matrix[:3, :3]).as_quat()
        pose = dict(zip(("qx", "qy", "qz", "qw", "x", "y", "z"), (*quat, *matrix[:3, 3]), strict=True))
        rows.append({"clip_id": clip, "sensor_name": camera, **{name: float(value) for name, value in pose.items()}})
    return write_table(_columns(rows), index=("clip_id", "sensor_name"))


def ftheta_polynomials(model: CameraModel) -> dict[str, float]:
    """Return the data set's polynomials for a pinhole: radius = f tan(angle), and back.

    The linear coefficient of the forward polynomial is the focal length exactly; the rest are fitted
    over the picture's diagonal.
    """
    focal = model.intrinsics["fx"]
    corner = np.hypot(model.width / 2, max(model.intrinsics["cy"], model.height - model.intrinsics["cy"]))
    angle = np.linspace(0, np.arctan(corner / focal), 200)
    radius = focal * np.tan(angle)
    forward = [0.0, focal, *_fitted(angle, radius - focal * angle, (2, 3, 4))]
    backward = [0.0, *_fitted(radius, angle, (1, 2, 3, 4))]
    return {
        f"{way}_poly_{power}": float(coefficients[power])
        for way, coefficients in (("fw", forward), ("bw", backward))
        for power in range(POLYNOMIAL_DEGREE + 1)
    }


def _fitted(x: np.ndarray, y: np.ndarray, powers: tuple[int, ...]) -> np.ndarray:
    scale = x.max()
    basis = np.column_stack([(x / scale) ** power for power in powers])
    fitted: np.ndarray = np.linalg.lstsq(basis, y)[0] / np.array([scale**power for power in powers])
    return fitted


def _write_metadata(spec: WorldSpec, drives: Sequence[DrivePlan], folder: Path) -> None:
    count = len(drives)
    features = [EGOMOTION, INTRINSICS, EXTRINSICS, *(CAMERA_FEATURES[name] for name in spec.cameras)]
    tables: dict[str, dict[str, Sequence[object]]] = {
        SPLITS: {"split": ["train"] * count},
        FEATURE_PRESENCE: {name: [True] * count for name in features},
        DATA_COLLECTION: {
            "country": ["Japan"] * count,
            "platform_class": ["synthetic"] * count,
            PLACE: [plan.place for plan in drives],
        },
        CLIP_INDEX: {"chunk": [number // CHUNK for number in range(count)], "clip_is_valid": [True] * count},
    }
    _write(folder / FEATURES, _features(spec))
    for name, columns in tables.items():
        _write(folder / name, write_table({"clip_id": [plan.id for plan in drives], **columns}, index=("clip_id",)))


def _features(spec: WorldSpec) -> bytes:
    rows = [("labels", EGOMOTION, "zip", {"egomotion": "{clip_id}.egomotion.parquet"})]
    rows += [("calibration", name, "parquet", {}) for name in (INTRINSICS, EXTRINSICS)]
    for feature in (CAMERA_FEATURES[name] for name in spec.cameras):
        members = {
            "video": f"{{clip_id}}.{feature}.mp4",
            "frame_timestamps": f"{{clip_id}}.{feature}.timestamps.parquet",
        }
        rows.append(("camera", feature, "zip", members))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["feature", "directory", "chunk_path", "clip_files_in_zip"])
    for directory, feature, kind, members in rows:
        path = f"{directory}/{feature}/{feature}.chunk_{{chunk_id:04d}}.{kind}"
        writer.writerow([feature, directory, path, json.dumps(members) if members else ""])
    return text.getvalue().encode()


def _chunk_path(directory: str, feature: str, chunk: int, kind: str) -> str:
    return f"{directory}/{feature}/{feature}.chunk_{chunk:04d}.{kind}"


def _columns(rows: Sequence[Mapping[str, object]]) -> dict[str, list[object]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def _write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a zip without compression (video and Parquet have their own) and without the time of day."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
