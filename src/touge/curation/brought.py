"""Rows of `touge.sample/1` that were made elsewhere, judged as if they had been recorded here.

Between the JSONL reader and the rows of a shard. Labels and features are computed again by the recipe's definition,
frames are verified and copied, so that the curated data set stands by itself; split and weight are decided anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from touge.contract.errors import DataError
from touge.contract.sample import ImageRef, Sample
from touge.curation.archive import Archive
from touge.curation.brought_frames import BroughtFrames
from touge.curation.index import UNDECIDED
from touge.curation.pictures import Picture, decoded, resized_model
from touge.curation.places import Position
from touge.curation.quality import PictureReason, Rejection, picture_rejections
from touge.curation.reasoning import with_reasoning
from touge.curation.samples import Outcome, Rules, judged, stored, stored_features
from touge.curation.windows import LARGEST_FRAME_OFFSET_US, frame_times
from touge.motion.bounds import implied_speed, window_findings


def outcomes(rows: Iterable[Sample], rules: Rules, archive: Archive, frames: BroughtFrames) -> Iterator[Outcome]:
    """Yield what becomes of every row.

    Args:
        rows: Valid rows.
        rules: What is asked of a window.
        archive: Takes the frames of kept rows.
        frames: Reads those that the rows name.

    Raises:
        DataError: If a frame is missing, damaged or not the one that its row names.
    """
    for row in rows:
        Position.of(row.notes, row.id)
        rejections = _rejections(row, rules)
        yield Outcome(row.drive, row.t0_us, None, rejections) if rejections else _outcome(row, rules, archive, frames)


def _rejections(row: Sample, rules: Rules) -> tuple[Rejection, ...]:
    missing = [camera for camera in rules.cameras if camera not in row.images]
    if missing:
        has = ", ".join(row.images) or "none"
        return (Rejection(PictureReason.MISSING_CAMERA, f"no {', '.join(missing)}; the row has {has}"),)
    late = [camera for camera in rules.cameras if _off_time(row, camera)]
    found = window_findings(np.array(row.history), np.array(row.future))
    of_frames = (Rejection(PictureReason.MISSING_FRAMES, f"{', '.join(late)}: not at t0-0.3 s … t0"),) if late else ()
    return (*(Rejection.of(finding) for finding in found), *of_frames)


def _off_time(row: Sample, camera: str) -> bool:
    times = np.array([ref.t_us for ref in row.images[camera]])
    return bool((np.abs(times - frame_times(row.t0_us)) > LARGEST_FRAME_OFFSET_US).any())


def _outcome(row: Sample, rules: Rules, archive: Archive, frames: BroughtFrames) -> Outcome:
    data = {camera: [_verified(ref, row.id, frames) for ref in row.images[camera]] for camera in rules.cameras}
    pictures = {
        camera: [
            Picture.of(decoded(one, f"{row.id}, {ref.path}"), rules.bounds)
            for one, ref in zip(data[camera], row.images[camera], strict=True)
        ]
        for camera in rules.cameras
    }
    if against := picture_rejections(pictures, implied_speed(np.array(row.history))):
        return Outcome(row.drive, row.t0_us, None, against)
    outcome = judged(_relabelled(row, rules), rules)
    if outcome.sample is None:
        return outcome
    images = {camera: _copied(row, camera, data[camera], pictures[camera], archive) for camera in rules.cameras}
    models = {
        camera: resized_model(row.cameras[camera], *pictures[camera][-1].size)
        for camera in rules.cameras
        if camera in row.cameras
    }
    return replace(outcome, sample=outcome.sample.model_copy(update={"images": images, "cameras": models}))


def _relabelled(row: Sample, rules: Rules) -> Sample:
    """Return the row with features and label of the recipe's definition, and words if it had none."""
    history, future = stored(np.array(row.history)), stored(np.array(row.future))
    changes = {
        "history": tuple(map(tuple, history.tolist())),
        "future": tuple(map(tuple, future.tolist())),
        "features": stored_features(future),
        "label": rules.definition.label(future),
        "split": UNDECIDED,
        "weight": 1.0,
    }
    return with_reasoning(row.model_copy(update=changes), None, rules.words)


def _verified(ref: ImageRef, row: str, frames: BroughtFrames) -> bytes:
    try:
        data = frames.read(ref.path)
    except DataError as error:
        raise DataError(f"{row}: {error}") from error
    if hashlib.sha256(data).hexdigest() != ref.sha256:
        raise DataError(f"{row}: {ref.path} is not the frame that the row names (sha256 differs); write the row again")
    return data


def _copied(
    row: Sample, camera: str, data: list[bytes], pictures: list[Picture], archive: Archive
) -> tuple[ImageRef, ...]:
    """Store a row's frames: as they are where they have the model's size, else resized."""
    refs = []
    for ref, original, picture in zip(row.images[camera], data, pictures, strict=True):
        content = original if picture.untouched else picture.jpeg
        suffix = "png" if content.startswith(b"\x89PNG") else "jpg"
        path = archive.add(f"{row.drive}/{camera}/{row.t0_us}-{ref.t_us}.{suffix}", content)
        refs.append(ImageRef(path=path, t_us=ref.t_us, sha256=hashlib.sha256(content).hexdigest()))
    return tuple(refs)
