"""What a road looks like: lanes, markings, what stands beside it, and the light.

Third step of the synthetic world, after `road` and `vehicle`. Pure: a style and a generator in, an
appearance out. `render` draws it; this module draws nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from touge.drives.synthetic.route import Style

Rgb = tuple[float, float, float]

WHITE: Rgb = (232, 232, 226)
YELLOW: Rgb = (226, 172, 60)
FOREST: Rgb = (52, 78, 44)
ROCK: Rgb = (118, 110, 100)
CONCRETE: Rgb = (150, 146, 140)
GRASS: Rgb = (92, 112, 62)
SOIL: Rgb = (122, 106, 82)
PAVEMENT: Rgb = (142, 140, 136)


@dataclass(frozen=True, slots=True)
class Marking:
    """A painted line along the road.

    Attributes:
        offset: From the centreline, metres, left positive.
        width: Metres.
        colour: RGB.
        period: Metres from dash to dash; 0 for a solid line.
        painted: Share of the period that is painted.
    """

    offset: float
    width: float
    colour: Rgb
    period: float = 0.0
    painted: float = 1.0


@dataclass(frozen=True, slots=True)
class Side:
    """What stands along one side of the road.

    Attributes:
        distance: Of the wall of trees, rock or houses from the centreline, metres.
        height: Typical height of that wall, metres; 0 where the view is open.
        roughness: How much the height varies, 0 to 1.
        colour: RGB.
        block: Length of one house or tree, metres.
        texture: How much its brightness varies: 1 for leaves and rock, less for plaster.
        rail: Distance of the guard rail from the centreline, metres; None without one.
    """

    distance: float
    height: float
    roughness: float
    colour: Rgb
    block: float
    texture: float
    rail: float | None


@dataclass(frozen=True, slots=True)
class Light:
    """Time of day and weather.

    Attributes:
        sky: RGB overhead.
        haze: RGB at the horizon, which far things fade to.
        visibility: Distance at which 63% has faded, metres.
        gain: Exposure of everything.
        tint: Colour of the light.
        shade: Depth of the shadows that trees throw on the road, 0 to 1.
        noise: Standard deviation of the sensor's noise, of 255.
    """

    sky: Rgb
    haze: Rgb
    visibility: float
    gain: float
    tint: Rgb
    shade: float
    noise: float


@dataclass(frozen=True, slots=True)
class Scene:
    """The whole appearance of one road on one day; traffic keeps left (Japan).

    Attributes:
        half_width: From the centreline to the edge of the asphalt, metres.
        lane: Offset of the outer left lane's centre, metres.
        lane_width: Metres.
        lanes: A direction.
        asphalt, verge: RGB.
        markings: Lines along the road.
        crossings: Arc lengths of zebra crossings, metres.
        left, right: What stands beside it.
        light: Time of day and weather.
        seed: Of the textures.
    """

    half_width: float
    lane: float
    lane_width: float
    lanes: int
    asphalt: Rgb
    verge: Rgb
    markings: tuple[Marking, ...]
    crossings: tuple[float, ...]
    left: Side
    right: Side
    light: Light
    seed: int


def scene(style: Style, rng: np.random.Generator, crossings: tuple[float, ...] = ()) -> Scene:
    """Return an appearance for a road of this style."""
    lane_width = {Style.MOUNTAIN: 3.0, Style.CITY: 3.0, Style.ARTERIAL: 3.5}[style] + rng.uniform(-0.25, 0.25)
    lanes = 2 if style is Style.ARTERIAL else 1
    shoulder = rng.uniform(0.4, 0.9)
    half_width = lanes * lane_width + shoulder
    grey = rng.uniform(78, 112)
    return Scene(
        half_width=half_width,
        lane=(lanes - 0.5) * lane_width,
        lane_width=lane_width,
        lanes=lanes,
        asphalt=(grey, grey + 1, grey + 4),
        verge=PAVEMENT if style is Style.CITY else (GRASS, SOIL)[int(rng.integers(2))],
        markings=_markings(lanes, lane_width, rng),
        crossings=crossings,
        left=_side(style, half_width, rng),
        right=_side(style, half_width, rng),
        light=_light(rng),
        seed=int(rng.integers(2**31)),
    )


def _markings(lanes: int, width: float, rng: np.random.Generator) -> tuple[Marking, ...]:
    """Return edge lines, lane lines and a centre line: solid yellow where overtaking is forbidden."""
    edges = [Marking(side * lanes * width, 0.15, WHITE) for side in (1, -1)]
    between = [Marking(side * lane * width, 0.15, WHITE, 12, 0.5) for side in (1, -1) for lane in range(1, lanes)]
    forbidden = lanes > 1 or rng.random() < 0.5
    centre = Marking(0.0, 0.2, YELLOW) if forbidden else Marking(0.0, 0.15, WHITE, 10, 0.5)
    return (*edges, *between, centre)


def _side(style: Style, half_width: float, rng: np.random.Generator) -> Side:
    rail = half_width + rng.uniform(0.2, 0.5)
    if style is Style.CITY:
        return Side(half_width + rng.uniform(2.5, 5), rng.uniform(5, 10), 0.5, _varied(CONCRETE, rng), 11.0, 0.3, None)
    wall = half_width + rng.uniform(1.5, 3.5)
    if style is Style.MOUNTAIN and rng.random() < 0.2:
        return Side(wall, rng.uniform(3, 7), 0.3, _varied(ROCK, rng), 3.0, 1.0, rail)
    return Side(wall, rng.uniform(3, 7), 0.4, _varied(FOREST, rng), 2.5, 1.0, rail)


def _light(rng: np.random.Generator) -> Light:
    """Return fair to overcast weather, and a low sun now and then."""
    overcast = rng.random()
    low_sun = rng.random() < 0.2
    haze = np.array([206, 212, 218]) * (1 - 0.1 * overcast)
    sky = np.array([128, 164, 206]) * (1 - overcast) + np.array([154, 172, 194]) * overcast
    return Light(
        sky=_rgb(sky),
        haze=_rgb(haze),
        visibility=float(rng.uniform(500, 800)),
        gain=float(rng.uniform(0.77, 0.87) if low_sun else rng.uniform(0.89, 1.03)),
        tint=(1.02, 0.99, 0.94) if low_sun else (1.0, 1.0, 1.0),
        shade=float(0.15 * (1 - overcast)),
        noise=float(rng.uniform(2, 3.5)),
    )


def _varied(colour: Rgb, rng: np.random.Generator) -> Rgb:
    return _rgb(np.array(colour) * rng.uniform(0.75, 1.3) + rng.uniform(-8, 8, 3))


def _rgb(values: np.ndarray) -> Rgb:
    red, green, blue = (float(value) for value in np.clip(values, 0, 255))
    return red, green, blue
