"""One camera's frames, decoded once and in order, for windows that follow one another.

Holds the frames of about one window, however long the drive. What several windows show is stored once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from touge.contract.recipe import Image as Bounds
from touge.contract.sample import ImageRef
from touge.curation.pictures import Picture
from touge.curation.windows import Indices
from touge.drives.drive import Camera


@dataclass(slots=True)
class Shot:
    """One frame, and where it was stored, once it was."""

    t_us: int
    picture: Picture
    ref: ImageRef | None = None


@dataclass(slots=True)
class Roll:
    """Frames of one camera.

    Attributes:
        camera: Where they come from.
        windows: Frame indices [4] of every window that will be asked for, in that order.
        bounds: Of the model's input size.
    """

    camera: Camera
    windows: Iterable[Indices]
    bounds: Bounds
    _near: dict[int, Shot] = field(default_factory=dict)
    _ahead: Iterator[tuple[int, Shot]] = field(init=False)

    def __post_init__(self) -> None:
        wanted = sorted({int(index) for indices in self.windows for index in indices})
        self._ahead = _shots(self.camera, wanted, self.bounds)

    def take(self, indices: Indices) -> tuple[Shot, ...]:
        """Return the frames of the next window.

        Raises:
            DataError: If the video is damaged.
        """
        self._near = {index: shot for index, shot in self._near.items() if index >= indices[0]}
        while int(indices[-1]) not in self._near:
            index, shot = next(self._ahead)
            self._near[index] = shot
        return tuple(self._near[int(index)] for index in indices)


def _shots(camera: Camera, wanted: list[int], bounds: Bounds) -> Iterator[tuple[int, Shot]]:
    """Yield frames in order; knows no roll, so that a video is given back with its roll and not some time later."""
    for index, frame in zip(wanted, camera.frames(wanted), strict=False):
        yield index, Shot(int(camera.t_us[index]), Picture.of(frame, bounds))
