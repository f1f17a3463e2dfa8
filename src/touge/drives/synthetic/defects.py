"""What real logs suffer from, one fault at a time, so that curation can be shown to notice.

After `egolog` and before the files are written. Pure. Each fault begins in the middle of the drive, so
that windows before it stay good. Met in practice: dropouts of 3.6 s with 30 m of travel (an urban
localisation log), mixed rates, repeated fixes, wrong sign conventions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from touge.drives.drive import Microseconds
from touge.drives.synthetic.egolog import EgoLog

#: Length of a dropout, of black, frozen and missing frames, seconds.
FAULT_S = 1.0


class Defect(StrEnum):
    """Faults of a log."""

    DROPOUT = "dropout"  # poses missing for a second
    JUMP = "jump"  # positions jump 3 m to the left, as after a re-localisation
    REPEATED_FIX = "repeated-fix"  # one position reported for a second
    NAN_POSE = "nan-pose"  # one position is not a number
    WRONG_SIGN = "wrong-sign"  # yaw and curvature positive to the right
    WRONG_SPEED = "wrong-speed"  # speed in km/h where m/s is declared
    CLOCK_SKEW = "clock-skew"  # the camera's clock is a quarter second late and 3% fast
    MISSING_FRAMES = "missing-frames"  # no frames for a second
    BLACK_FRAMES = "black-frames"  # black frames for a second
    FROZEN_FRAMES = "frozen-frames"  # one frame repeated for a second
    TRUNCATED_VIDEO = "truncated-video"  # the mp4 lacks its last part


def faulty_log(log: EgoLog, defect: Defect | None) -> EgoLog:
    """Return the log with the fault, if it is one of motion."""
    return _OF_MOTION[defect](log) if defect in _OF_MOTION else log


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """The frames that a camera delivers.

    Attributes:
        t_us: [M] microseconds, as its clock stamps them.
        shown_us: [M] microseconds of the truth that each shows.
        black: [M] whether it shows nothing.
    """

    t_us: Microseconds
    shown_us: Microseconds
    black: npt.NDArray[np.bool_]


def delivered(t_us: Microseconds, defect: Defect | None) -> Delivery:
    """Return what becomes of frames taken at `t_us` with the fault, if it is one of the camera."""
    during = _during(t_us)
    fine = Delivery(t_us, t_us, np.zeros_like(during))
    match defect:
        case Defect.CLOCK_SKEW:
            return replace(fine, t_us=np.round(t_us * 1.03 + 250_000).astype(np.int64))
        case Defect.MISSING_FRAMES:
            return Delivery(t_us[~during], t_us[~during], fine.black[~during])
        case Defect.FROZEN_FRAMES:
            return replace(fine, shown_us=np.where(during, t_us[during.argmax()], t_us))
        case Defect.BLACK_FRAMES:
            return replace(fine, black=during)
    return fine


def faulty_video(data: bytes, defect: Defect | None) -> bytes:
    """Return the mp4 with the fault, if it is one of the file."""
    return data[: len(data) * 2 // 3] if defect is Defect.TRUNCATED_VIDEO else data


def _dropout(log: EgoLog) -> EgoLog:
    kept = ~_during(log.t_us)
    return EgoLog(**{field.name: getattr(log, field.name)[kept] for field in fields(log)})


def _jump(log: EgoLog) -> EgoLog:
    return replace(log, xyz=log.xyz + _after(log.t_us)[:, None] * np.array([0.0, 3.0, 0.0]))


def _repeated_fix(log: EgoLog) -> EgoLog:
    held = _during(log.t_us)
    return replace(log, xyz=np.where(held[:, None], log.xyz[held.argmax()], log.xyz))


def _nan_pose(log: EgoLog) -> EgoLog:
    lost = np.arange(len(log.t_us)) == _after(log.t_us).argmax()
    return replace(log, xyz=np.where(lost[:, None], np.nan, log.xyz))


def _wrong_sign(log: EgoLog) -> EgoLog:
    return replace(log, yaw=-log.yaw, curvature=-log.curvature)


def _wrong_speed(log: EgoLog) -> EgoLog:
    return replace(log, velocity=log.velocity * 3.6)


_OF_MOTION: Mapping[Defect | None, Callable[[EgoLog], EgoLog]] = {
    Defect.DROPOUT: _dropout,
    Defect.JUMP: _jump,
    Defect.REPEATED_FIX: _repeated_fix,
    Defect.NAN_POSE: _nan_pose,
    Defect.WRONG_SIGN: _wrong_sign,
    Defect.WRONG_SPEED: _wrong_speed,
}


def _after(t_us: Microseconds) -> npt.NDArray[np.bool_]:
    late: npt.NDArray[np.bool_] = t_us >= (t_us[0] + t_us[-1]) // 2
    return late


def _during(t_us: Microseconds) -> npt.NDArray[np.bool_]:
    middle = (t_us[0] + t_us[-1]) // 2
    inside: npt.NDArray[np.bool_] = (t_us >= middle) & (t_us < middle + int(FAULT_S * 1e6))
    return inside
