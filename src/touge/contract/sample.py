"""One training or evaluation sample: a row of JSONL (`touge.sample/1`), made by curation or brought by users.

Frame of reference everywhere: ego at t0, x forward, y left, z up; metres, radians, 10 Hz.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from touge.contract.model import Document
from touge.contract.recipe import CAMERAS

HISTORY_STEPS = 16
FUTURE_STEPS = 64
FRAMES = 4
STEP_S = 0.1

Vector3 = tuple[float, float, float]
Vector4 = tuple[float, float, float, float]
SplitName = Literal["train", "validation", "test"]


class ImageRef(Document):
    """One stored frame: a path (or `shard.tar#member`) relative to the artifact, its time and content."""

    path: str
    t_us: int
    sha256: str


class CameraModel(Document):
    """Geometry of one camera as the source declares it; size is that of the stored frames, pixels."""

    model: str
    intrinsics: dict[str, float]
    ego_from_camera: Annotated[tuple[float, ...], Field(min_length=16, max_length=16)] = Field(
        description="4x4 row-major; camera x right, y down, z forward"
    )
    width: int
    height: int


class Reasoning(Document):
    """What the driver says, in which language, and where the words come from."""

    text: str
    language: Literal["en", "ja"]
    source: Literal["dataset", "template", "base"]


class Label(Document):
    """A curve label by a versioned definition."""

    config: str
    kind: str
    direction: Literal["left", "right", "none"]
    radius_band: str


class Provenance(Document):
    """Which reader took the drive from where."""

    reader: str
    uri: str
    sha256: str


class Sample(Document):
    """One window: what the model sees, says and drives."""

    schema_version: Literal["touge.sample/1"] = Field("touge.sample/1", alias="schema")
    id: str = Field(description="drive@t0_us")
    drive: str
    t0_us: int
    images: dict[str, tuple[ImageRef, ...]] = Field(description="camera -> frames at t0-0.3 s … t0")
    cameras: dict[str, CameraModel] = {}
    history: tuple[Vector4, ...] = Field(
        min_length=HISTORY_STEPS,
        max_length=HISTORY_STEPS,
        description="x, y, z, yaw at t0-1.5 s … t0; the last row is 0",
    )
    future: tuple[Vector3, ...] = Field(
        min_length=FUTURE_STEPS, max_length=FUTURE_STEPS, description="x, y, yaw at t0+0.1 s … t0+6.4 s"
    )
    reasoning: Reasoning | None = None
    features: dict[str, float] = {}
    label: Label
    split: SplitName
    place: str | None = None
    weight: float = 1.0
    provenance: Provenance
    notes: dict[str, Any] = {}

    @property
    def views(self) -> tuple[str, ...]:
        """The cameras that have frames, in the model's index order."""
        return tuple(camera for camera in CAMERAS if self.images.get(camera))

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.id != f"{self.drive}@{self.t0_us}":
            message = f"id must be drive@t0_us, here {self.drive}@{self.t0_us}"
            raise ValueError(message)
        if any(abs(value) > 1e-6 for value in self.history[-1]):
            message = "the last history row is t0 itself and must be zero"
            raise ValueError(message)
        wrong = {camera: len(frames) for camera, frames in self.images.items() if len(frames) != FRAMES}
        if wrong:
            message = f"each camera needs {FRAMES} frames, given {wrong}"
            raise ValueError(message)
        if not all(math.isfinite(value) for row in (*self.history, *self.future) for value in row):
            message = "history and future must be finite"
            raise ValueError(message)
        return self
