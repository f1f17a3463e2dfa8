"""What is stored of a window's future besides the poses: the quantities that selecting and balancing ask for.

After the window is cut, before labels and sentences. Features are facts without thresholds, so that a new label
definition needs no new curation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

from touge.contract.errors import DataError
from touge.contract.sample import STEP_S
from touge.motion.arclength import Profile, profile, track

#: Pose at 3 s (VAD's command looks there; design, artifacts).
_AT_3_S = round(3.0 / STEP_S)
#: The bend begins where curvature first reaches this share of its 90th percentile.
_ONSET = 0.5


@dataclass(frozen=True, slots=True)
class Features:
    """Quantities of one future, left positive; curvature over arc length as in `arclength.profile`.

    Attributes:
        curvature_mean: 1/m.
        curvature_min: The hardest bend to the right, 1/m.
        curvature_max: The hardest bend to the left, 1/m.
        abs_curvature_mean: 1/m.
        abs_curvature_p90: 90th percentile of |kappa|, 1/m.
        abs_curvature_max: 1/m.
        curvature_integral: Integral of |kappa| ds, radians: S-curves count in full.
        heading_change: At the end, radians.
        heading_range: Largest less smallest heading, radians.
        bend_start: Arc length where |kappa| first reaches half of its 90th percentile, metres.
        path_length: Metres.
        speed_start: Mean of the first 0.5 s, m/s.
        speed_end: Mean of the last 0.5 s, m/s.
        speed_mean: m/s.
        speed_min: m/s.
        speed_max: m/s.
        lateral_acceleration_mean: Mean of v^2 |kappa| over arc length, m/s^2.
        lateral_acceleration_max: Largest v^2 |kappa|, m/s^2.
        lateral_at_3s: y after 3 s, metres.
        lateral_end: y at the end, metres.
    """

    curvature_mean: float
    curvature_min: float
    curvature_max: float
    abs_curvature_mean: float
    abs_curvature_p90: float
    abs_curvature_max: float
    curvature_integral: float
    heading_change: float
    heading_range: float
    bend_start: float
    path_length: float
    speed_start: float
    speed_end: float
    speed_mean: float
    speed_min: float
    speed_max: float
    lateral_acceleration_mean: float
    lateral_acceleration_max: float
    lateral_at_3s: float
    lateral_end: float

    def to_dict(self) -> dict[str, float]:
        """Return the features as a row stores them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, float]) -> Self:
        """Read features back; further keys are left alone.

        Raises:
            DataError: If some are missing; names them all.
        """
        names = [field.name for field in fields(cls)]
        if missing := [name for name in names if name not in values]:
            message = f"features: {', '.join(missing)} missing; compute the row again with touge.motion.features"
            raise DataError(message)
        return cls(**{name: float(values[name]) for name in names})


def features(future: npt.ArrayLike) -> Features:
    """Return the features of a future [64, 3]; raises ValueError if it is not finite or not [T, 3]."""
    path = track(future)
    bend = profile(path)
    speed, lateral = path.speed[1:], path.xy[1:, 1]
    acceleration = bend.speed**2 * np.abs(bend.curvature)
    return Features(
        **_curvature(bend),
        path_length=path.length,
        speed_start=float(speed[:5].mean()),
        speed_end=float(speed[-5:].mean()),
        speed_mean=float(speed.mean()),
        speed_min=float(speed.min()),
        speed_max=float(speed.max()),
        lateral_acceleration_mean=float(acceleration.mean()),
        lateral_acceleration_max=float(acceleration.max()),
        lateral_at_3s=float(lateral[:_AT_3_S][-1]),
        lateral_end=float(lateral[-1]),
    )


def _curvature(bend: Profile) -> dict[str, float]:
    signed, absolute = bend.curvature, np.abs(bend.curvature)
    p90 = float(np.percentile(absolute, 90))
    onset = int(np.argmax(absolute >= _ONSET * p90))
    return {
        "curvature_mean": float(signed.mean()),
        "curvature_min": float(signed.min()),
        "curvature_max": float(signed.max()),
        "abs_curvature_mean": float(absolute.mean()),
        "abs_curvature_p90": p90,
        "abs_curvature_max": float(absolute.max()),
        "curvature_integral": float(np.abs(np.diff(bend.heading)).sum()),
        "heading_change": float(bend.heading[-1]),
        "heading_range": float(np.ptp(bend.heading)),
        "bend_start": float(bend.s[onset]),
    }
