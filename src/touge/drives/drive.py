"""The port that curation reads through: a drive is ego poses and cameras on one clock.

First station of the data flow: readers make drives, curation cuts windows out of them. A drive
carries what the log says. Nothing here resamples, smooths or fills in; judging is curation's work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from touge.contract.errors import DataError
from touge.contract.sample import CameraModel, Provenance

Floats = npt.NDArray[np.float64]
Microseconds = npt.NDArray[np.int64]
Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Poses:
    """Ego poses in one fixed frame: rear axle, x forward, y left, z up at yaw 0.

    Attributes:
        t_us: [N] microseconds, strictly increasing.
        xyz: [N, 3] metres.
        quat: [N, 4] unit quaternions x, y, z, w: fixed frame from ego.
        speed: [N] reported speed, m/s; NaN where the log has none.
    """

    t_us: Microseconds
    xyz: Floats
    quat: Floats
    speed: Floats

    def __len__(self) -> int:
        """Return how many poses there are."""
        return len(self.t_us)


class Camera(Protocol):
    """One camera of one drive. Opening it is cheap; frames are decoded when they are asked for."""

    @property
    def name(self) -> str:
        """Name by position, one of `touge.contract.recipe.CAMERAS`."""

    @property
    def t_us(self) -> Microseconds:
        """Times of all frames, [M] microseconds, on the clock of the poses."""

    @property
    def model(self) -> CameraModel | None:
        """Geometry, where the source knows it."""

    def frames(self, indices: Sequence[int]) -> Iterator[Image]:
        """Yield the frames with these indices, one at a time, as RGB [H, W, 3].

        Args:
            indices: Into `t_us`, never decreasing; a repeated index repeats its frame.

        Raises:
            DataError: If the video ends early or cannot be decoded.
        """


@dataclass(frozen=True, slots=True)
class ReasoningEvent:
    """What the data set says about the driving at one time."""

    t_us: int
    text: str
    language: Literal["en", "ja"] = "en"


@dataclass(frozen=True, slots=True, eq=False)
class Drive:
    """One continuous recording.

    Attributes:
        id: Unique within its source.
        poses: Ego motion.
        cameras: By name; empty where the log has none.
        reasoning: From the data set, by time; empty where it has none.
        place: Key that drives through one place share, where the source knows it.
        global_frame: Whether positions of all drives of the source share one frame (a map, UTM).
            False where each drive has a frame of its own, so that positions say nothing about place.
        country: As the source names it.
        provenance: Which reader took it from where.
        notes: Counts of what the reader left out (for example repeated timestamps).
    """

    id: str
    poses: Poses
    cameras: Mapping[str, Camera]
    reasoning: tuple[ReasoningEvent, ...]
    place: str | None
    global_frame: bool
    country: str | None
    provenance: Provenance
    notes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DriveRef:
    """A drive that is listed but not read yet; it can be opened by itself, in any process."""

    id: str
    opener: Callable[[], Drive]

    def open(self) -> Drive:
        """Read the drive's poses and indexes; frames stay on disk.

        Raises:
            DataError: If anything of it is missing or invalid, naming the file.
        """
        return self.opener()


class Reader(Protocol):
    """One source of drives."""

    def drives(self) -> Iterator[DriveRef]:
        """List the drives, sorted by id, without opening them."""

    @property
    def left_out(self) -> Mapping[str, int]:
        """Counts of drives that the source lists and `drives` does not yield, by reason."""


def shard(references: Iterator[DriveRef], index: int, count: int) -> Iterator[DriveRef]:
    """Yield part `index` of `count`: every count-th drive, in the order of their ids."""
    ordered = sorted(references, key=lambda reference: reference.id)
    yield from ordered[index::count]


def checked_poses(t_us: Microseconds, xyz: Floats, quat: Floats, speed: Floats, *, source: str) -> Poses:
    """Return the poses, or say what is wrong with them.

    Args:
        t_us: [N] microseconds.
        xyz: [N, 3] metres.
        quat: [N, 4] x, y, z, w; normalised here.
        speed: [N] m/s or NaN.
        source: File that they come from, for the message.

    Raises:
        DataError: If there are fewer than two, a value is not finite, a quaternion has no length, or
            time does not increase. Names the first row of each.
    """
    if len(t_us) < 2:
        message = f"{source}: given {len(t_us)} poses; a drive needs at least 2. Leave it out or repair the file"
        raise DataError(message)
    norm = np.linalg.norm(quat, axis=1)
    faults = {
        "position is not finite": ~np.isfinite(xyz).all(axis=1),
        "orientation is not finite": ~np.isfinite(quat).all(axis=1),
        "quaternion has no length": norm < 0.5,
        "time does not increase": np.diff(t_us, prepend=t_us[0] - 1) <= 0,
    }
    problems = [
        f"{what} in {mask.sum()} rows, first in row {mask.argmax()}" for what, mask in faults.items() if mask.any()
    ]
    if problems:
        message = f"{source}: {'; '.join(problems)}. Leave the drive out or repair the file"
        raise DataError(message)
    return Poses(t_us.astype(np.int64), xyz.astype(float), quat / norm[:, None], speed.astype(float))
