"""Where windows lie on a drive, and which frames belong to each. Pure: times in, times and indices out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from touge.contract.sample import FRAMES, HISTORY_STEPS, STEP_S

Microseconds = npt.NDArray[np.int64]
Indices = npt.NDArray[np.intp]

STEP_US = round(STEP_S * 1e6)
#: 16 poses end at t0; NVIDIA's loader (NVlabs/alpamayo-recipes) asks for 1.6 s before t0, so the first t0 is there.
LEAD_US = HISTORY_STEPS * STEP_US

#: A frame further than this from its time shows another moment than the poses do.
LARGEST_FRAME_OFFSET_US = 50_000


def window_starts(first_us: int, last_us: int, stride_s: float, frames_us: Microseconds | None = None) -> Microseconds:
    """Return every t0 of a drive, ascending and distinct.

    The grid begins 1.6 s after the first pose and ends with the drive, also where the future is short: such windows
    are rejected by name, so that the counts add up. Where there is a frame near enough, t0 is moved onto it, so that
    the newest frame shows the very moment that the trajectory starts from.

    Args:
        first_us: Time of the first pose.
        last_us: Time of the last pose.
        stride_s: Distance of two windows.
        frames_us: Times of the first camera's frames, increasing; None or empty where there is none.
    """
    grid = np.arange(first_us + LEAD_US, last_us + 1, max(1, round(stride_s * 1e6)), dtype=np.int64)
    if frames_us is None or not len(frames_us) or not len(grid):
        return grid
    nearest = frames_us[_nearest(frames_us, grid)]
    moved = np.where(np.abs(nearest - grid) <= _tolerance(frames_us), nearest, grid)
    return np.unique(moved)


def frame_times(t0_us: int) -> Microseconds:
    """Return the times of the model's frames: t0-0.3 s, -0.2 s, -0.1 s and t0."""
    return t0_us + np.arange(1 - FRAMES, 1, dtype=np.int64) * STEP_US


def nearest_frames(frames_us: Microseconds, t0_us: int) -> Indices | None:
    """Return the indices of the frames nearest to `frame_times`, or None where one is missing.

    Args:
        frames_us: Times of a camera's frames, increasing.
        t0_us: Time of the window.

    Returns:
        [4] indices, strictly increasing; None if a frame lies further off than half a frame period (at most
        50 ms), or if two times share one frame.
    """
    if len(frames_us) < FRAMES:
        return None
    wanted = frame_times(t0_us)
    nearest = _nearest(frames_us, wanted)
    off = np.abs(frames_us[nearest] - wanted)
    if (off > _tolerance(frames_us)).any() or (np.diff(nearest) <= 0).any():
        return None
    return nearest


def _nearest(frames_us: Microseconds, wanted_us: Microseconds) -> Indices:
    if len(frames_us) == 1:
        return np.zeros(len(wanted_us), dtype=np.intp)
    after = np.clip(np.searchsorted(frames_us, wanted_us), 1, len(frames_us) - 1)
    return after - (wanted_us - frames_us[after - 1] <= frames_us[after] - wanted_us)


def _tolerance(frames_us: Microseconds) -> int:
    """Return half a frame period and a millisecond for the shutter's jitter, at most 50 ms."""
    period = int(np.median(np.diff(frames_us))) if len(frames_us) > 1 else 0
    return min(LARGEST_FRAME_OFFSET_US, period // 2 + 1000)
