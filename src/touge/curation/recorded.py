"""A recorded drive to samples, window by window: motion first, then frames, then words.

Between the drive port and the rows of a shard. Poses are judged before a frame is decoded; frames are decoded once,
in order, and stored as soon as their window is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from touge.contract.sample import CameraModel, ImageRef, Sample
from touge.curation.archive import Archive
from touge.curation.index import UNDECIDED
from touge.curation.pictures import resized_model
from touge.curation.places import NOTE, Position
from touge.curation.quality import PictureReason, Rejection, camera_rejections, motion_of, picture_rejections
from touge.curation.reasoning import event_near, with_reasoning
from touge.curation.roll import Roll, Shot
from touge.curation.samples import Outcome, Rules, judged, stored, stored_features
from touge.curation.windows import Indices, nearest_frames, window_starts
from touge.drives.drive import Drive
from touge.motion.bounds import implied_speed
from touge.motion.frames import EgoWindow, at_times, yaw_of

Shots = Mapping[str, tuple[Shot, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """A window whose poses were judged.

    Attributes:
        t0_us: Its time.
        motion: Its poses; None if they were refused.
        frames: Frame indices [4] by camera.
        rejections: Why it is refused so far.
    """

    t0_us: int
    motion: EgoWindow | None
    frames: Mapping[str, Indices]
    rejections: tuple[Rejection, ...]


@dataclass(frozen=True, slots=True)
class Recorder:
    """Makes samples of the drives of one source.

    Attributes:
        rules: What is asked of a window.
        archive: Takes the frames of kept windows.
        frame: Name of the map that the drives' positions are on, where they are on one.
    """

    rules: Rules
    archive: Archive
    frame: str

    def outcomes(self, drive: Drive) -> Iterator[Outcome]:
        """Yield what becomes of every window of a drive, in time order.

        Raises:
            DataError: If a video is damaged.
        """
        candidates = list(_candidates(drive, self.rules))
        rolls = self._rolls(drive, [candidate for candidate in candidates if not candidate.rejections])
        for candidate in candidates:
            if candidate.motion is None or candidate.rejections:
                yield Outcome(drive.id, candidate.t0_us, None, candidate.rejections)
                continue
            shots = {camera: roll.take(candidate.frames[camera]) for camera, roll in rolls.items()}
            yield self._outcome(drive, candidate.t0_us, candidate.motion, shots)

    def _rolls(self, drive: Drive, good: Sequence[_Candidate]) -> dict[str, Roll]:
        return {
            camera: Roll(drive.cameras[camera], [candidate.frames[camera] for candidate in good], self.rules.bounds)
            for camera in self.rules.cameras
            if good
        }

    def _outcome(self, drive: Drive, t0_us: int, motion: EgoWindow, shots: Shots) -> Outcome:
        pictures = {camera: [shot.picture for shot in taken] for camera, taken in shots.items()}
        if against := picture_rejections(pictures, implied_speed(motion.history)):
            return Outcome(drive.id, t0_us, None, against)
        outcome = judged(self._sample(drive, t0_us, motion, shots), self.rules)
        if outcome.sample is None:
            return outcome
        images = {
            camera: tuple(self._stored(shot, drive.id, camera) for shot in taken) for camera, taken in shots.items()
        }
        return replace(outcome, sample=outcome.sample.model_copy(update={"images": images}))

    def _sample(self, drive: Drive, t0_us: int, motion: EgoWindow, shots: Shots) -> Sample:
        """Return the row of a window, its frames not stored yet."""
        future = stored(motion.future)
        position = _position(drive, t0_us, self.frame) if drive.global_frame else None
        sample = Sample(
            id=f"{drive.id}@{t0_us}",
            drive=drive.id,
            t0_us=t0_us,
            images={},
            cameras=_models(drive, {camera: taken[-1].picture.size for camera, taken in shots.items()}),
            history=stored(motion.history).tolist(),
            future=future.tolist(),
            features=stored_features(future),
            label=self.rules.definition.label(future),
            split=UNDECIDED,
            place=drive.place or (position.cell if position else None),
            provenance=drive.provenance,
            notes=_notes(drive, position),
        )
        return with_reasoning(sample, event_near(drive.reasoning, t0_us), self.rules.words)

    def _stored(self, shot: Shot, drive: str, camera: str) -> ImageRef:
        if shot.ref is None:
            data = shot.picture.jpeg
            path = self.archive.add(f"{drive}/{camera}/{shot.t_us}.jpg", data)
            shot.ref = ImageRef(path=path, t_us=shot.t_us, sha256=hashlib.sha256(data).hexdigest())
        return shot.ref


def _candidates(drive: Drive, rules: Rules) -> Iterator[_Candidate]:
    of_cameras = camera_rejections(drive, rules.cameras)
    first = drive.cameras.get(rules.cameras[0])
    poses = drive.poses
    starts = window_starts(
        int(poses.t_us[0]), int(poses.t_us[-1]), rules.stride_s, None if first is None or of_cameras else first.t_us
    )
    for t0_us in starts.tolist():
        window, of_motion = motion_of(poses, t0_us)
        if of_cameras or of_motion:
            yield _Candidate(t0_us, None, {}, (*of_cameras, *of_motion))
            continue
        frames = {camera: nearest_frames(drive.cameras[camera].t_us, t0_us) for camera in rules.cameras}
        missing = [camera for camera, indices in frames.items() if indices is None]
        lacking = (Rejection(PictureReason.MISSING_FRAMES, ", ".join(missing)),) if missing else ()
        found = {camera: indices for camera, indices in frames.items() if indices is not None}
        yield _Candidate(t0_us, window, found, lacking)


def _notes(drive: Drive, position: Position | None) -> dict[str, Any]:
    country = {"country": drive.country} if drive.country else {}
    return country | ({NOTE: asdict(position)} if position else {})


def _position(drive: Drive, t0_us: int, frame: str) -> Position:
    poses = drive.poses
    here = at_times(poses.t_us, poses.xyz, poses.quat, np.array([t0_us]))
    x, y, heading = (round(float(value), 2) for value in (*here.xyz[0, :2], yaw_of(here.rotation)[0]))
    return Position(frame=frame, x=x, y=y, heading=heading)


def _models(drive: Drive, sizes: Mapping[str, tuple[int, int]]) -> dict[str, CameraModel]:
    """Return the geometry of each camera that has one, for the size of the stored frames."""
    known = {camera: drive.cameras[camera].model for camera in sizes}
    return {camera: resized_model(model, *sizes[camera]) for camera, model in known.items() if model is not None}
