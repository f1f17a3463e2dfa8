"""Label definitions of other projects, on the same port: the share of windows called "curve" depends on them.

Beside `jp_2026_1`, never instead of it: these are for reports that compare. Their words are mapped to our kinds, and
the radius band is that of the mean radius, for none of them has bands of its own.
"""

from __future__ import annotations

import math
from itertools import groupby

import numpy as np

from touge.contract.sample import STEP_S, Label
from touge.motion.arclength import Floats, Track, track
from touge.motion.labels import NO_BAND, Direction, Kind, direction_of, radius_band


class NvidiaMetaAction:
    """Ego-only steering meta-actions of NVlabs/alpamayo-recipes, coc-autolabeler: Steer is a curve, SharpSteer a turn.

    A segment is a run of one sign of heading rate. Steer: at least 1 s, 0.0015 rad/m on average and 0.015 rad in all.
    SharpSteer: 0.05 rad/m and 0.2 rad. The window takes the name of its largest segment.
    https://github.com/NVlabs/alpamayo-recipes
    """

    name = "nvidia-meta-action"

    def label(self, future: Floats) -> Label:
        """Return the label of a future [64, 3]."""
        path = track(future)
        distance = np.diff(path.s)
        if not (distance >= _STANDING * STEP_S).any():
            return _label(self.name, Kind.STOP)
        segments = _steering_segments(path, distance)
        change, length = max(segments, key=lambda segment: abs(segment[0]), default=(0.0, 1.0))
        rate = abs(change) / length
        if rate >= 0.05 and abs(change) >= 0.2:
            return _label(self.name, Kind.TURN, direction_of(change), 1.0 / rate)
        if rate >= 0.0015 and abs(change) >= 0.015:
            return _label(self.name, Kind.CURVE, direction_of(change), 1.0 / rate)
        return _label(self.name, Kind.STRAIGHT)


class WaymoMotion:
    """Trajectory buckets of the Waymo Open Motion metrics: straight below 30 degrees and 2.5 m to the side.

    Stationary: below 2 m/s and within 3 m. Straight-left and straight-right are called lane changes.
    https://github.com/waymo-research/waymo-open-dataset
    """

    name = "waymo-motion"

    def label(self, future: Floats) -> Label:
        """Return the label of a future [64, 3]."""
        path = track(future)
        heading, lateral = float(path.heading[-1]), float(path.xy[-1, 1])
        if path.speed.max() < 2.0 and math.hypot(*path.xy[-1]) < 3.0:
            return _label(self.name, Kind.STOP)
        if abs(heading) >= math.radians(30.0):
            return _label(self.name, Kind.CURVE, direction_of(heading), path.length / abs(heading))
        if abs(lateral) >= 2.5:
            return _label(self.name, Kind.LANE_CHANGE, direction_of(lateral))
        return _label(self.name, Kind.STRAIGHT)


class VadCommand:
    """Driving command of VAD and nuScenes planners: 2 m to the side after 3 s. https://github.com/hustvl/VAD."""

    name = "vad-command"

    def label(self, future: Floats) -> Label:
        """Return the label of a future [64, 3]."""
        path = track(future)
        lateral = float(path.xy[min(round(3.0 / STEP_S), len(path.xy) - 1), 1])
        if abs(lateral) < 2.0:
            return _label(self.name, Kind.STRAIGHT)
        heading = abs(float(path.heading[-1]))
        return _label(self.name, Kind.CURVE, direction_of(lateral), path.length / heading if heading else math.inf)


#: Below this speed NVIDIA's labeller calls the ego stopped, m/s.
_STANDING = 0.3
#: Heading rates within this say straight, rad/m.
_STEERING = 0.001
#: A segment lasts this many steps at least: 1 s.
_SEGMENT_STEPS = 10


def _steering_segments(path: Track, distance: Floats) -> list[tuple[float, float]]:
    """Return (heading change, length) of each run of one steering direction, radians and metres."""
    turned = _averaged(np.diff(path.heading))
    moving = distance >= _STANDING * STEP_S
    rate = np.divide(turned, distance, out=np.zeros_like(turned), where=moving)
    steering = np.sign(rate) * (np.abs(rate) > _STEERING)
    runs = [[i for i, _ in run] for sign, run in groupby(enumerate(steering), key=lambda item: item[1]) if sign]
    return [(float(turned[run].sum()), float(distance[run].sum())) for run in runs if len(run) >= _SEGMENT_STEPS]


def _averaged(steps: Floats) -> Floats:
    """Return the centred moving average over 5 steps, of what there is at the ends."""
    weight = np.convolve(np.ones_like(steps), np.ones(5), mode="same")
    averaged: Floats = np.convolve(steps, np.ones(5), mode="same") / weight
    return averaged


def _label(config: str, kind: Kind, direction: Direction = Direction.NONE, radius: float = math.inf) -> Label:
    band = radius_band(radius) if kind in (Kind.CURVE, Kind.TURN) else NO_BAND
    return Label(config=config, kind=kind.value, direction=direction.value, radius_band=band)
