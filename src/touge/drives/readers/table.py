"""Reads drives from CSV or Parquet files with a column map from the recipe: one file is one drive.

Motion comes from positions with heading, or from steering and speed by dead reckoning. A log
without a camera may have frames drawn along the driven path; its provenance then says so.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pyarrow as pa
from pyarrow import csv

from touge.contract.errors import DataError
from touge.contract.recipe import DeadReckoning, Positions, TableSource, Timestamp
from touge.contract.sample import Provenance
from touge.drives import parquet
from touge.drives.countries import keeps_left
from touge.drives.drive import Camera, Drive, DriveRef, Floats, Microseconds, checked_poses
from touge.drives.ranged import read_object
from touge.drives.readers.files import files_at
from touge.drives.synthetic.roadside import RoadsideCamera
from touge.storage import Store

_SUFFIXES = (".csv", ".parquet")
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True, eq=False)
class TableReader:
    """Drives in tables.

    Attributes:
        source: Address and column map.
        stores: Opens a URI's store.
    """

    source: TableSource
    stores: Callable[[str], Store]

    def drives(self) -> Iterator[DriveRef]:
        """List the files, sorted; a drive's id is its file's path without the suffix."""
        store, keys = self._files
        for key in keys:
            identity = key.rpartition(".")[0].replace("/", "-")
            yield DriveRef(identity, partial(self._open, store, key, identity))

    @property
    def left_out(self) -> Mapping[str, int]:
        """Nothing: every file is a drive."""
        return {}

    @cached_property
    def _files(self) -> tuple[Store, tuple[str, ...]]:
        return files_at(self.source.uri, _SUFFIXES, self.stores)

    def _open(self, store: Store, key: str, identity: str) -> Drive:
        uri = f"{store.uri}/{key}"
        data = read_object(store, key)
        table = _table(data, uri)
        t_us = _microseconds(table, self.source.timestamp, uri)
        fresh = np.diff(t_us, prepend=t_us[:1] - 1) != 0
        columns = _columns(self.source.motion, table, uri)
        t_us, columns = t_us[fresh], {name: column[fresh] for name, column in columns.items()}
        xyz, quat, speed = _motion(self.source.motion, t_us, columns)
        poses = checked_poses(t_us, xyz, quat, speed, source=uri)
        drawn, left = self.source.camera, keeps_left(self.source.region or "JP")
        cameras: dict[str, Camera] = {"front_wide": RoadsideCamera(identity, poses, drawn, left)} if drawn else {}
        reader = "table; frames drawn along the driven path by the synthetic camera" if drawn else "table"
        return Drive(
            id=identity,
            poses=poses,
            cameras=cameras,
            reasoning=(),
            place=None,
            global_frame=isinstance(self.source.motion, Positions) and self.source.motion.global_frame,
            country=self.source.region,
            provenance=Provenance(reader=reader, uri=uri, sha256=hashlib.sha256(data).hexdigest()),
            notes={"repeated_timestamps": int((~fresh).sum()), "repeated_fixes": _repeated(xyz)},
        )


def dead_reckoned(t_us: Microseconds, steering: Floats, speed: Floats, ratio: float, wheelbase: float) -> Floats:
    """Integrate steering and speed with the bicycle model, by the trapezoid rule.

    Yaw rate = v tan(angle / ratio) / wheelbase, at the rear axle (Rajamani, Vehicle Dynamics and
    Control, 2012, section 2.2, no slip).

    Args:
        t_us: [N] microseconds.
        steering: [N] steering wheel angle, radians, left positive.
        speed: [N] m/s.
        ratio: Steering wheel angle over wheel angle.
        wheelbase: Metres.

    Returns:
        x, y, yaw, [N, 3]; the first row is zero.
    """
    dt = np.diff(t_us) / 1e6
    yaw = _integral(speed * np.tan(steering / ratio) / wheelbase, dt)
    return np.column_stack([_integral(speed * np.cos(yaw), dt), _integral(speed * np.sin(yaw), dt), yaw])


def _integral(rate: Floats, dt: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum((rate[1:] + rate[:-1]) / 2 * dt)])


def _table(data: bytes, uri: str) -> pa.Table:
    if uri.endswith(".parquet"):
        return parquet.read_table(data, uri)
    try:
        return csv.read_csv(io.BytesIO(data), read_options=csv.ReadOptions(use_threads=False))
    except pa.ArrowInvalid as error:
        raise DataError(f"{uri} is not a readable CSV file with a header: {error}") from error


def _microseconds(table: pa.Table, timestamp: Timestamp, uri: str) -> Microseconds:
    """Return times in microseconds; integers stay exact, floats are rounded."""
    parquet.require(table, [timestamp.column], uri)
    column, per_second = table.column(timestamp.column), _PER_SECOND[timestamp.unit]
    if pa.types.is_integer(column.type) and not column.null_count:
        ticks = column.to_numpy().astype(np.int64)
        exact: Microseconds = ticks * (10**6 // per_second) if per_second <= 10**6 else ticks // (per_second // 10**6)
        return exact
    seconds = parquet.numbers(table, [timestamp.column], uri)[:, 0]
    if not np.isfinite(seconds).all():
        row = int((~np.isfinite(seconds)).argmax())
        raise DataError(f"{uri}: column {timestamp.column} has no number in row {row}; remove the row")
    return np.round(seconds * (10**6 / per_second)).astype(np.int64)


def _columns(motion: DeadReckoning | Positions, table: pa.Table, uri: str) -> dict[str, Floats]:
    """Return the columns that the motion needs, by their name in the file."""
    if isinstance(motion, DeadReckoning):
        names = [motion.steering, motion.speed]
    else:
        heading = motion.quaternion or (motion.yaw,)
        names = [name for name in (motion.x, motion.y, motion.z, motion.speed, *heading) if name is not None]
    return dict(zip(names, parquet.numbers(table, names, uri).T, strict=True))


def _motion(
    motion: DeadReckoning | Positions, t_us: Microseconds, columns: Mapping[str, Floats]
) -> tuple[Floats, Floats, Floats]:
    """Return xyz [N, 3], quaternion [N, 4] and reported speed [N]."""
    nothing = np.zeros(len(t_us))
    if isinstance(motion, DeadReckoning):
        speed = columns[motion.speed]
        x, y, yaw = dead_reckoned(t_us, columns[motion.steering], speed, motion.steering_ratio, motion.wheelbase).T
        return np.column_stack([x, y, nothing]), _quaternion(yaw), speed
    xyz = np.column_stack([columns[motion.x], columns[motion.y], columns[motion.z] if motion.z else nothing])
    speed = columns[motion.speed] if motion.speed else np.full(len(t_us), np.nan)
    if motion.quaternion:
        return xyz, np.column_stack([columns[name] for name in motion.quaternion]), speed
    return xyz, _quaternion(columns[str(motion.yaw)]), speed


def _quaternion(yaw: Floats) -> Floats:
    zero = np.zeros_like(yaw)
    return np.column_stack([zero, zero, np.sin(yaw / 2), np.cos(yaw / 2)])


def _repeated(xyz: Floats) -> int:
    """Return how many positions equal the one before to the last digit: a fix that was held."""
    return int((np.diff(xyz, axis=0) == 0).all(axis=1).sum())
