"""Why a window is refused: the findings of motion, and those of pictures, clocks and words.

After a window is cut, before it becomes a sample. Judges and never repairs. A window is counted under the first
of its reasons; all of them are written down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np

from touge.curation.pictures import Picture
from touge.drives.drive import Drive, Poses
from touge.motion.bounds import BOUNDS, Finding, log_findings, window_findings
from touge.motion.frames import EgoWindow, ego_window

#: How far the cameras' time may reach beyond the poses': what a gap in the poses may be.
CLOCK_SKEW_S = BOUNDS.gap_s
#: Slower than this the picture may stand still, m/s.
MOVING = BOUNDS.course_speed


class PictureReason(StrEnum):
    """Reasons that do not come from motion; those are `touge.motion.bounds.Reason`."""

    MISSING_CAMERA = "missing_camera"
    CLOCK_SKEW = "clock_skew"
    MISSING_FRAMES = "missing_frames"
    BLACK_FRAMES = "black_frames"
    FROZEN_FRAMES = "frozen_frames"
    CONTRADICTION = "contradiction"


@dataclass(frozen=True, slots=True)
class Rejection:
    """One reason; what was measured and what is allowed, where it is a number.

    Attributes:
        reason: For counting.
        detail: For people.
    """

    reason: str
    detail: str = ""

    @classmethod
    def of(cls, finding: Finding) -> Rejection:
        """Return a finding of motion as a rejection."""
        return cls(finding.reason.value, f"{finding.value:.3g}, allowed {finding.bound:.3g}")


def motion_of(poses: Poses, t0_us: int) -> tuple[EgoWindow | None, tuple[Rejection, ...]]:
    """Cut one window out of a drive's poses, if it can be trusted as driving.

    Returns:
        The window and nothing, or None and every reason against it.
    """
    found = log_findings(poses.t_us, poses.xyz, poses.speed, t0_us)
    window = None
    if not found:
        window = ego_window(poses.t_us, poses.xyz, poses.quat, t0_us)
        found = window_findings(window.history, window.future, float(np.interp(t0_us, poses.t_us, poses.speed)))
    return (None if found else window), tuple(Rejection.of(finding) for finding in found)


def camera_rejections(drive: Drive, cameras: Sequence[str]) -> tuple[Rejection, ...]:
    """Return what is wrong with a drive's cameras as a whole, and so with each of its windows.

    A camera's clock is doubted where its times do not increase, or where they reach beyond the poses': instruments
    of one recording run together, and outside of it nothing tells what the frames show.
    """
    missing = [camera for camera in cameras if camera not in drive.cameras]
    if missing:
        has = ", ".join(drive.cameras) or "none"
        return (Rejection(PictureReason.MISSING_CAMERA, f"no {', '.join(missing)}; the drive has {has}"),)
    doubts = [doubt for camera in cameras if (doubt := _clock_doubt(drive, camera))]
    return tuple(Rejection(PictureReason.CLOCK_SKEW, doubt) for doubt in doubts)


def _clock_doubt(drive: Drive, camera: str) -> str | None:
    frames, poses = drive.cameras[camera].t_us, drive.poses.t_us
    if not len(frames):
        return None
    if (np.diff(frames) <= 0).any():
        return f"{camera}: its times do not increase"
    before, behind = (poses[0] - frames[0]) / 1e6, (frames[-1] - poses[-1]) / 1e6
    if max(before, behind) > CLOCK_SKEW_S:
        return f"{camera}: its frames begin {before:.2f} s before the poses and end {behind:.2f} s behind them"
    return None


def picture_rejections(pictures: Mapping[str, Sequence[Picture]], speed: float) -> tuple[Rejection, ...]:
    """Judge the frames of one window.

    Args:
        pictures: Camera -> frames, oldest first.
        speed: At t0, m/s: whoever stands sees the same picture twice.
    """
    black = [camera for camera, frames in pictures.items() if any(frame.is_black for frame in frames)]
    if black:
        return (Rejection(PictureReason.BLACK_FRAMES, ", ".join(black)),)
    stale = [camera for camera, frames in pictures.items() if speed > MOVING and _has_stale(frames)]
    return (Rejection(PictureReason.FROZEN_FRAMES, ", ".join(stale)),) if stale else ()


def _has_stale(frames: Sequence[Picture]) -> bool:
    return any(newer.shows_the_same_as(older) for older, newer in pairwise(frames))
