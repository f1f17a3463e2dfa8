"""Whether a window can be trusted as driving: every physical reason to reject it, with what was measured.

After the poses are read and before anything is computed of them; curation's quality step adds what concerns
pictures. It judges and never repairs: a window is used whole or rejected with its reasons.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from touge.contract.sample import STEP_S
from touge.motion.arclength import MOVING, track
from touge.motion.frames import FUTURE_US, HISTORY_US

Floats = npt.NDArray[np.float64]
Microseconds = npt.NDArray[np.int64]


class Reason(StrEnum):
    """Why a window is rejected."""

    NON_FINITE = "non_finite"
    SHORT_HISTORY = "short_history"
    SHORT_FUTURE = "short_future"
    GAP = "gap"
    POSITION_JUMP = "position_jump"
    SPEED_MISMATCH = "speed_mismatch"
    YAW_MISMATCH = "yaw_mismatch"
    CURVATURE = "curvature"
    ACCELERATION = "acceleration"
    JERK = "jerk"
    STANDSTILL = "standstill"


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason, what was measured and what is allowed, both in the unit of the bound."""

    reason: Reason
    value: float
    bound: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is plausible for a road vehicle; a value on the bound passes.

    Attributes:
        curvature: |kappa|, 1/m: the model's action space ends at a radius of 5 m (NVlabs/alpamayo, action_space).
        acceleration: Along the path, m/s^2 (the same).
        jerk: Along the path, m/s^3: comfort bound of the RL reward in NVlabs/alpamayo-recipes.
        gap_s: Between two poses, seconds.
        jump_m: How far a step may exceed speed times time, metres.
        speed_m_s: Implied against reported speed at t0, m/s, on top of the share below. The model gets its speed from
            the history's positions alone, so a jittery history corrupts the whole rollout.
        speed_share: The same as a share of the reported speed: odometers are calibrated to some percent.
        yaw: Yaw against course, radians, where faster than `course_speed`. Slip of a reference point at the centre of
            gravity stays below 0.1 at a radius of 15 m; a wrong sign or frame goes far beyond.
        course_speed: m/s.
        standstill_m: Who never leaves this circle around the window's first pose stands, and teaches nothing of a road.
    """

    curvature: float = 0.2
    acceleration: float = 9.8
    jerk: float = 8.37
    gap_s: float = 0.3
    jump_m: float = 1.0
    speed_m_s: float = 1.0
    speed_share: float = 0.1
    yaw: float = 0.2
    course_speed: float = 3.0
    standstill_m: float = 1.0


BOUNDS = Bounds()

#: Seconds over which a speed, an acceleration or a jerk is fitted: a third difference of raw 10 Hz positions
#: turns 1 cm of noise into 45 m/s^3, a cubic over 1.1 s into 0.8.
_FIT_STEPS = 11
#: Steps of the chord that a course is taken from, 0.5 s.
_CHORD = 5
#: Steps to either side whose median speed stands in for a reported one: a jump and its way back are two steps.
_AROUND = 5


def log_findings(
    t_us: Microseconds, xyz: Floats, speed: Floats, t0_us: int, *, bounds: Bounds = BOUNDS
) -> tuple[Finding, ...]:
    """Judge a drive's own poses around one window, before they are interpolated and gaps become invisible.

    Args:
        t_us: [N] microseconds, strictly increasing; the whole drive or any part that covers the window.
        xyz: [N, 3] metres.
        speed: [N] reported m/s, NaN where the log has none.
        t0_us: Time of the window.
        bounds: What is plausible.
    """
    first, last = t0_us - HISTORY_US, t0_us + FUTURE_US
    found = _coverage_findings(t_us, t0_us)
    inside = _covering(t_us, first, last)
    if not np.isfinite(xyz[inside]).all():
        return (*found, Finding(Reason.NON_FINITE, float(np.sum(~np.isfinite(xyz[inside]))), 0.0))
    return (*found, *_step_findings(t_us[inside], xyz[inside], speed[inside], bounds))


def window_findings(
    history: Floats, future: Floats, reported_speed: float | None = None, *, bounds: Bounds = BOUNDS
) -> tuple[Finding, ...]:
    """Judge one window on the 10 Hz grid.

    Args:
        history: [16, 4] x, y, z, yaw.
        future: [64, 3] x, y, yaw.
        reported_speed: At t0, m/s; None or NaN where the log has none.
        bounds: What is plausible.
    """
    poses = np.concatenate([history[:, [0, 1, 3]], future])
    if not np.isfinite(poses).all():
        return (Finding(Reason.NON_FINITE, float(np.sum(~np.isfinite(poses))), 0.0),)
    acceleration, jerk = _along_path(poses[:, :2])
    measured = [
        Finding(Reason.YAW_MISMATCH, _yaw_against_course(poses, bounds.course_speed), bounds.yaw),
        Finding(Reason.CURVATURE, _largest_curvature(poses), bounds.curvature),
        Finding(Reason.ACCELERATION, float(np.abs(acceleration).max()), bounds.acceleration),
        Finding(Reason.JERK, float(np.abs(jerk).max()), bounds.jerk),
    ]
    if reported_speed is not None and np.isfinite(reported_speed):
        allowed = bounds.speed_m_s + bounds.speed_share * abs(reported_speed)
        difference = abs(implied_speed(history) - reported_speed)
        measured.append(Finding(Reason.SPEED_MISMATCH, difference, allowed))
    return (*_standstill(poses, bounds), *(finding for finding in measured if finding.value > finding.bound))


def implied_speed(history: Floats) -> float:
    """Return the speed at t0 that the positions of a history [16, 4] imply, m/s: the end of a quadratic over 1 s."""
    recent = history[-_FIT_STEPS:, :2]
    t = (np.arange(len(recent)) - (len(recent) - 1)) * STEP_S
    slope = np.polynomial.polynomial.polyfit(t, recent, 2)[1]
    return float(np.hypot(*slope))


def _standstill(poses: Floats, bounds: Bounds) -> tuple[Finding, ...]:
    reach = float(np.hypot(*(poses[:, :2] - poses[0, :2]).T).max())
    return (Finding(Reason.STANDSTILL, reach, bounds.standstill_m),) if reach < bounds.standstill_m else ()


def _coverage_findings(t_us: Microseconds, t0_us: int) -> list[Finding]:
    before, behind = ((t0_us - int(t_us[0])), (int(t_us[-1]) - t0_us)) if len(t_us) else (0, 0)
    reaches = ((Reason.SHORT_HISTORY, before, HISTORY_US), (Reason.SHORT_FUTURE, behind, FUTURE_US))
    return [Finding(reason, reach / 1e6, wanted / 1e6) for reason, reach, wanted in reaches if reach < wanted]


def _covering(t_us: Microseconds, first: int, last: int) -> slice:
    """Return the poses that interpolating over [first, last] needs: one beyond each end."""
    start = int(np.searchsorted(t_us, first, side="right")) - 1
    stop = int(np.searchsorted(t_us, last, side="left")) + 1
    return slice(max(start, 0), stop)


def _step_findings(t_us: Microseconds, xyz: Floats, speed: Floats, bounds: Bounds) -> list[Finding]:
    if len(t_us) < 2:
        return []
    dt = np.diff(t_us) / 1e6
    found = [Finding(Reason.GAP, float(dt.max()), bounds.gap_s)] if dt.max() > bounds.gap_s else []
    step = np.linalg.norm(np.diff(xyz, axis=0), axis=1)
    excess = step - _step_speed(step / dt, speed) * dt
    if excess.max() > bounds.jump_m:
        found.append(Finding(Reason.POSITION_JUMP, float(excess.max()), bounds.jump_m))
    return found


def _step_speed(implied: Floats, reported: Floats) -> Floats:
    """Return the speed that each step should have: as reported, else the median of the steps around it."""
    around = sliding_window_view(np.pad(implied, _AROUND, mode="reflect"), 2 * _AROUND + 1)
    faster = np.maximum(reported[1:], reported[:-1])
    return np.where(np.isfinite(faster), faster, np.median(around, axis=1))


def _along_path(xy: Floats) -> tuple[Floats, Floats]:
    """Return acceleration and jerk along the path, each [N - 10], of cubics fitted over 1.1 s.

    The rate of speed's rate is the third derivative along the course, plus a_lateral^2 / v, by which the course turns.
    Both are 0 where a piece touches standstill: braking ends there at once, which no cubic follows.
    """
    t = (np.arange(_FIT_STEPS) - _FIT_STEPS // 2) * STEP_S
    weights = np.linalg.pinv(np.vander(t, 4, increasing=True))
    pieces = sliding_window_view(xy, _FIT_STEPS, axis=0)
    velocity, second, third = pieces @ weights[1], 2 * (pieces @ weights[2]), 6 * (pieces @ weights[3])
    slowest = sliding_window_view(np.hypot(*np.diff(xy, axis=0).T), _FIT_STEPS - 1).min(axis=1) / STEP_S
    speed = np.where(slowest < MOVING, np.inf, np.linalg.norm(velocity, axis=1))
    course = velocity / speed[:, None]
    lateral = course[:, 0] * second[:, 1] - course[:, 1] * second[:, 0]
    return (course * second).sum(axis=1), (course * third).sum(axis=1) + lateral**2 / speed


def _largest_curvature(poses: Floats) -> float:
    """Return the largest |change of heading| a metre over the whole window, unsmoothed, 1/m."""
    path = track(_from_first(poses)[1:])
    length = path.length
    if length < 1.0:
        return 0.0
    s = np.linspace(0.0, length, max(1, round(length)) + 1)
    return float(np.abs(np.diff(path.heading_at(s))).max() / (s[1] - s[0]))


def _from_first(poses: Floats) -> Floats:
    """Return poses [N, 3] in the frame of the first one."""
    x, y, yaw = poses[0]
    cosine, sine = np.cos(yaw), np.sin(yaw)
    dx, dy = poses[:, 0] - x, poses[:, 1] - y
    return np.column_stack([cosine * dx + sine * dy, cosine * dy - sine * dx, poses[:, 2] - yaw])


def _yaw_against_course(poses: Floats, fast: float) -> float:
    """Return the 90th percentile of |mean yaw - course| over chords of 0.5 s driven fast, radians."""
    chord = poses[_CHORD:, :2] - poses[:-_CHORD, :2]
    yaw = sliding_window_view(np.unwrap(poses[:, 2]), _CHORD + 1).mean(axis=1)
    moving = np.linalg.norm(chord, axis=1) > fast * _CHORD * STEP_S
    if not moving.any():
        return 0.0
    difference = yaw - np.arctan2(chord[:, 1], chord[:, 0])
    wrapped = np.abs((difference + np.pi) % (2 * np.pi) - np.pi)
    return float(np.percentile(wrapped[moving], 90))
