"""Which drives there are: a specification and a seed in, recordings out.

Last step of the synthetic world before files: ties road, vehicle, scene, camera and faults together.
Every drive is made from the specification and its own number alone, so drives can be made in any
order and in any process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from touge.contract.errors import DataError
from touge.contract.sample import CameraModel
from touge.drives.drive import Image, Microseconds
from touge.drives.synthetic import pinhole
from touge.drives.synthetic.defects import Defect, Delivery, delivered, faulty_log
from touge.drives.synthetic.egolog import EgoLog, Noise, recorded
from touge.drives.synthetic.film import Film
from touge.drives.synthetic.road import STEP_M, Centreline, extended
from touge.drives.synthetic.route import Style, route
from touge.drives.synthetic.scene import Scene, scene
from touge.drives.synthetic.vehicle import Driver, Manoeuvres, Motion, drive

#: Poses begin before and end after the frames, as in PhysicalAI-AV, seconds.
MARGIN_S = 0.2
#: Straights added behind and ahead of a road, so that the cameras always see some, metres.
_BEHIND_M, _AHEAD_M = 220.0, 320.0
#: A drive begins this far into its road at most, metres.
_START_M = 120.0
#: Speeds on straights by style, m/s: 30 to 40, 30 to 40 and 30 to 50 km/h, those of narrow roads in Japan.
_LIMITS = {Style.MOUNTAIN: (8.0, 10.5), Style.CITY: (8.0, 10.5), Style.ARTERIAL: (9.0, 13.0)}
#: Bends tighter than this are street corners, 1/m.
_CORNER = 1 / 20
#: From a zebra crossing back to where the rear axle stops: stop line 4.2 m before it, front overhang, a gap; metres.
_STOP_M = 9.0
#: The golden ratio: its multiples fill any share of styles evenly, however many roads there are.
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True, slots=True)
class WorldSpec:
    """A synthetic world.

    Attributes:
        seed: Everything follows from it.
        drives: How many.
        mix: Share of roads by style.
        drives_per_road: Drives that share a road, alternately there and back: a place for the split.
        cameras: By name.
        width, height: Pixels, even.
        fps: Frames a second.
        field_of_view: Horizontal, degrees; tele cameras have their own.
        clip_s: What the cameras film of a drive, seconds.
        unseen_s: How much longer the log of the ego motion goes on: a window needs its future, but no frames of it.
        noise: Of the instruments.
        defects: Faults by number of the drive.
    """

    seed: int = 0
    drives: int = 8
    mix: tuple[tuple[Style, float], ...] = ((Style.MOUNTAIN, 0.84), (Style.CITY, 0.08), (Style.ARTERIAL, 0.08))
    drives_per_road: int = 2
    cameras: tuple[str, ...] = ("front_wide",)
    width: int = 192
    height: int = 64
    fps: float = 10.0
    field_of_view: float = pinhole.FIELD_OF_VIEW
    clip_s: float = 20.0
    unseen_s: float = 0.0
    noise: Noise = field(default_factory=Noise)
    defects: tuple[tuple[int, Defect], ...] = ()

    @property
    def driven_s(self) -> float:
        """Length of the log, seconds."""
        return self.clip_s + self.unseen_s + 2 * MARGIN_S


@dataclass(frozen=True, slots=True)
class DrivePlan:
    """One drive of a world.

    Attributes:
        id: Sorts by number; worlds of other seeds have other ids.
        place: Key that all drives on this road share, both ways.
        number: Of the drive.
        road: Number of its road.
        style: Of the road.
        backward: Whether it is driven against the direction in which it was laid out.
        defect: Fault of its log.
    """

    id: str
    place: str
    number: int
    road: int
    style: Style
    backward: bool
    defect: Defect | None


@dataclass(frozen=True, slots=True, eq=False)
class CameraFilm:
    """What one camera saw: geometry, and frames drawn when they are asked for."""

    film: Film
    delivery: Delivery
    motion: Motion
    seed: int

    @property
    def model(self) -> CameraModel:
        """The camera's geometry."""
        return pinhole.model(self.film.seen)

    def pictures(self) -> Iterator[Image]:
        """Draw all frames in order, RGB [H, W, 3]."""
        for number, t_us in enumerate(self.delivery.shown_us):
            pose, s = _pose_at(self.motion, float(t_us))
            picture = self.film.picture(pose, s, self.seed + number)
            yield np.zeros_like(picture) if self.delivery.black[number] else picture


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One drive as its instruments and cameras saw it.

    Attributes:
        plan: Which drive.
        log: Ego motion as reported.
        motion: The truth, from `MARGIN_S` before time 0.
        t_us: Timestamps of the frames, [M] microseconds.
        films: By camera.
    """

    plan: DrivePlan
    log: EgoLog
    motion: Motion
    t_us: Microseconds
    films: Mapping[str, CameraFilm]


def plans(spec: WorldSpec) -> tuple[DrivePlan, ...]:
    """Return all drives of a world, in the order of their ids."""
    return tuple(_plan(spec, number) for number in range(spec.drives))


def _plan(spec: WorldSpec, number: int) -> DrivePlan:
    road, turn = divmod(number, spec.drives_per_road)
    style = _style(spec, road)
    return DrivePlan(
        id=f"synthetic-{spec.seed:04d}-{number:05d}",
        place=f"synthetic-{spec.seed:04d}-{style}-{road:05d}",
        number=number,
        road=road,
        style=style,
        backward=bool(turn % 2),
        defect=dict(spec.defects).get(number),
    )


def record(spec: WorldSpec, plan: DrivePlan) -> Recording:
    """Drive once and return what was recorded; frames are drawn later, one at a time."""
    road, appearance = road_of(spec, plan)
    rng = np.random.default_rng([spec.seed, 2, plan.number])
    motion = _driven(road, appearance, plan, rng, spec.driven_s)
    log = faulty_log(recorded(motion, MARGIN_S, spec.noise, rng), plan.defect)
    delivery = delivered(_frame_times(spec, rng), plan.defect)
    films = {
        name: CameraFilm(
            film=Film(pinhole.rays(name, spec.width, spec.height, spec.field_of_view), appearance, road),
            delivery=delivery,
            motion=motion,
            seed=int(rng.integers(2**40)),
        )
        for name in spec.cameras
    }
    return Recording(plan, log, motion, delivery.t_us, films)


def road_of(spec: WorldSpec, plan: DrivePlan) -> tuple[Centreline, Scene]:
    """Return the road in the drive's direction, and how it looks: the same geometry for all its drives.

    Light and textures are those of the day, that is of the drive.
    """
    rng = np.random.default_rng([spec.seed, 1, plan.road])
    longest = spec.driven_s * _LIMITS[plan.style][1] + _START_M
    road = route(plan.style, longest, rng)
    road = extended(road.reversed() if plan.backward else road, _BEHIND_M, _AHEAD_M)
    crossings = tuple(
        position for start, end in corners(road) for position in (start - 3.0, end + 3.0) if plan.style is Style.CITY
    )
    return road, scene(plan.style, np.random.default_rng([spec.seed, 3, plan.number]), crossings)


def corners(road: Centreline) -> tuple[tuple[float, float], ...]:
    """Return start and end, in metres of arc length, of every stretch as tight as a street corner."""
    tight = np.concatenate([[False], np.abs(road.kappa) > _CORNER, [False]])
    edges = np.flatnonzero(tight[1:] != tight[:-1]) * STEP_M
    return tuple((float(start), float(end)) for start, end in edges.reshape(-1, 2))


def _style(spec: WorldSpec, road: int) -> Style:
    total = sum(share for _, share in spec.mix)
    if total <= 0:
        raise DataError(f"world: the shares of the mix add up to {total}; give at least one a positive share")
    position = (road * _GOLDEN + spec.seed * 0.37) % 1 * total
    for style, share in spec.mix:
        position -= share
        if position < 0:
            return style
    return spec.mix[-1][0]


def _driven(road: Centreline, appearance: Scene, plan: DrivePlan, rng: np.random.Generator, seconds: float) -> Motion:
    driver = Driver(
        limit=float(rng.uniform(*_LIMITS[plan.style])),
        lateral=float(rng.uniform(1.8, 2.8)),
        accelerate=float(rng.uniform(1.0, 1.8)),
        brake=float(rng.uniform(1.5, 2.5)),
        unsteady=0.08,
        wander=float(rng.uniform(0.03, 0.18)),
        phase=float(rng.uniform(0, 2 * np.pi)),
    )
    start = float(rng.uniform(_BEHIND_M, _BEHIND_M + _START_M))
    return drive(road, driver, _manoeuvres(road, appearance, plan, rng, start), start, seconds)


def _manoeuvres(
    road: Centreline, appearance: Scene, plan: DrivePlan, rng: np.random.Generator, start: float
) -> Manoeuvres:
    """Return lane changes on arterials and stops at crossings in town, both at random."""
    if plan.style is Style.ARTERIAL and rng.random() < 0.4:
        return _lane_change(road, appearance, rng, start)
    ahead = [crossing for crossing in appearance.crossings if start + 25 < crossing < start + 180]
    if plan.style is Style.CITY and ahead and rng.random() < 0.5:
        return Manoeuvres(appearance.lane, stops=((float(rng.choice(ahead)) - _STOP_M, float(rng.uniform(2, 6))),))
    return Manoeuvres(appearance.lane)


def _lane_change(road: Centreline, appearance: Scene, rng: np.random.Generator, start: float) -> Manoeuvres:
    """Return a change to the other lane on the first straight that is long enough for one."""
    length = float(rng.uniform(55, 90))
    inward = bool(rng.random() < 0.5)
    lane = appearance.lane if inward else appearance.lane - appearance.lane_width
    change = -appearance.lane_width if inward else appearance.lane_width
    for begin in np.arange(start + 30, start + 200, 10):
        stretch = slice(int(begin / STEP_M), int((begin + length) / STEP_M))
        if np.abs(road.kappa[stretch]).max() < 1e-5:
            return Manoeuvres(lane, lane_changes=((float(begin), length, change),))
    return Manoeuvres(lane)


def _frame_times(spec: WorldSpec, rng: np.random.Generator) -> Microseconds:
    """Return even times from 0 with some jitter of the shutter, microseconds."""
    count = round(spec.clip_s * spec.fps) + 1
    jitter = rng.uniform(-300, 300, count)
    jitter[0] = 0
    return np.round(np.arange(count) * 1e6 / spec.fps + jitter).astype(np.int64)


def _pose_at(motion: Motion, t_us: float) -> tuple[tuple[float, float, float], float]:
    """Return true x, y, yaw and arc length at a time of the log."""
    at = t_us / 1e6 + MARGIN_S
    x, y, yaw, s = (float(np.interp(at, motion.t, column)) for column in (*motion.xy.T, motion.yaw, motion.s))
    return (x, y, yaw), s
