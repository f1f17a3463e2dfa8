"""Frames in true perspective: rays meet the ground, walls and rails of a road; pixels get their colours.

Fourth step of the synthetic world. Pure: camera, scene, stretch of road and pose in, picture out.
One pass over NumPy arrays a frame; no frame knows of another. Colour planes come first (C, H, W), so that
every operation runs along rows of pixels: three times as fast as pixels of three.

Notation: H, W picture; G ground rows; M march distances; C = 3 colours, 0 to 255. Metres, radians.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from touge.drives.drive import Image
from touge.drives.synthetic.pinhole import MOUNT_FORWARD_M, MOUNT_HEIGHT_M, Rays
from touge.drives.synthetic.scene import WHITE, Marking, Rgb, Scene, Side
from touge.drives.synthetic.terrain import Floats32, Stretch

#: Guard rail (W-beam): lower and upper edge above the ground, metres (Japanese guard fence standard: 0.6 m centre).
_RAIL_M = (0.43, 0.78)
_RAIL: Rgb = (205, 206, 204)
_POST_M = 4.0
#: Finest grain of asphalt, leaves and rock, metres; where a pixel spans more, it fades.
_GRAIN_M = 0.08
_TEXTURE = 256


@dataclass(frozen=True, slots=True, eq=False)
class _Ground:
    """The road coordinates under each ray: all arrays [G, W] or [M, W]."""

    s: Floats32
    d: Floats32
    across: Floats32
    along: Floats32


@dataclass(frozen=True, slots=True, eq=False)
class _Hit:
    """Where each column's ray leaves the road: depth, arc length, whether on the left; all [W]."""

    depth: Floats32
    s: Floats32
    left: np.ndarray


def render(seen: Rays, scene: Scene, road: Stretch, pose: tuple[float, float, float], grain: int) -> Image:
    """Draw one frame.

    Args:
        seen: The camera.
        scene: The appearance.
        road: The stretch around the vehicle.
        pose: Rear axle x, y (metres, the road's frame) and yaw (radians).
        grain: Seed of this frame's sensor noise.

    Returns:
        RGB [H, W, 3].
    """
    ground, marched = _locate(seen, road, pose)
    wall = _hit(seen, marched, scene.left.distance, scene.right.distance)
    rail = _hit(seen, marched, scene.left.rail or scene.left.distance, scene.right.rail or scene.right.distance)
    picture = _background(seen, scene, pose[2])
    nearer = seen.forward[: seen.ground_rows, None] < wall.depth
    np.copyto(picture[:, seen.top :], _painted_ground(seen, scene, ground), where=nearer)
    _draw_wall(picture, seen, scene, wall)
    _draw_rail(picture, seen, scene, rail, wall)
    return _exposed(picture, scene, grain)


def _locate(seen: Rays, road: Stretch, pose: tuple[float, float, float]) -> tuple[_Ground, _Ground]:
    """Return road coordinates of the ground rows and of the march."""
    x, y, vehicle = pose
    yaw = vehicle + seen.yaw
    cos, sin = np.float32(np.cos(yaw)), np.float32(np.sin(yaw))
    origin_x = np.float32(x + MOUNT_FORWARD_M * np.cos(vehicle) - road.corner[0])
    origin_y = np.float32(y + MOUNT_FORWARD_M * np.sin(vehicle) - road.corner[1])
    ray_x, ray_y = cos + sin * seen.right, sin - cos * seen.right
    forward = seen.forward[:, None]
    found = road.locate(origin_x + forward * ray_x, origin_y + forward * ray_y)
    rows = seen.ground_rows
    s, d, along_x, along_y = found.s, found.d, found.cos[:rows], found.sin[:rows]
    per_row = seen.forward[:rows, None] ** 2 / np.float32(seen.focal * MOUNT_HEIGHT_M)
    per_column = seen.forward[:rows, None] / np.float32(seen.focal)
    cross = np.abs(along_x * ray_y - along_y * ray_x)
    dot = np.abs(along_x * ray_x + along_y * ray_y)
    across = cross * per_row + np.abs(along_x * cos + along_y * sin) * per_column
    ahead = dot * per_row + np.abs(along_x * sin - along_y * cos) * per_column
    none = np.zeros((0, 0), np.float32)
    return _Ground(s[:rows], d[:rows], across, ahead), _Ground(s[rows:], d[rows:], none, none)


def _hit(seen: Rays, marched: _Ground, left: float, right: float) -> _Hit:
    """Return where each column first comes further out than `left` or `right` of the centreline."""
    outside = np.maximum(marched.d - np.float32(left), -marched.d - np.float32(right))
    beyond = outside > 0
    beyond[-1] = True
    after = np.maximum(beyond.argmax(axis=0), 1)
    columns = np.arange(seen.width)
    gap, overshoot = -outside[after - 1, columns], outside[after, columns]
    share = np.clip(gap / np.maximum(gap + overshoot, np.float32(1e-3)), 0, 1)
    start, end = seen.march[after - 1], seen.march[after]
    s = marched.s[after - 1, columns]
    jump = marched.s[after, columns] - s
    s = s + np.where(np.abs(jump) < 3 * (end - start), jump, 0) * share
    side = np.where(share < 0.5, marched.d[after - 1, columns], marched.d[after, columns]) > 0
    return _Hit(start + (end - start) * share, s, side)


def _painted_ground(seen: Rays, scene: Scene, ground: _Ground) -> Floats32:
    """Return the colour of every ground pixel, [C, G, W]: verge, asphalt, paint, shadow, haze."""
    across = np.maximum(ground.across, np.float32(1e-3))
    road = np.clip((scene.half_width - np.abs(ground.d)) / across + 0.5, 0, 1)
    paint = {WHITE: _zebra(scene, ground)}
    for marking in scene.markings:
        paint[marking.colour] = paint.get(marking.colour, 0) + _paint(marking, ground, across)
    asphalt = np.maximum(road - sum(paint.values()), 0)
    layers = np.stack([1 - road, asphalt, *paint.values()])
    palette = np.array([scene.verge, scene.asphalt, *paint], np.float32)
    colours = (palette.T @ layers.reshape(len(layers), -1)).reshape(3, *road.shape)
    clear = _clear(seen.forward[: seen.ground_rows, None], scene)
    lit: Floats32 = colours * (clear * _ground_light(scene, ground)) + (1 - clear) * _plane(scene.light.haze)
    return lit


def _paint(marking: Marking, ground: _Ground, across: Floats32) -> Floats32:
    """Return how much of each pixel a marking covers; lines finer than a pixel fade, not flicker."""
    reach = (marking.width + across) / 2 - np.abs(ground.d - np.float32(marking.offset))
    cover: Floats32 = np.clip(reach / across, 0, np.minimum(1, marking.width / across))
    if marking.period:
        dash = (ground.s / np.float32(marking.period)) % 1 < marking.painted
        cover *= np.where(ground.along > marking.period / 2, np.float32(marking.painted), dash)
    return cover


def _zebra(scene: Scene, ground: _Ground) -> Floats32:
    """Return the cover of zebra crossings and of the stop line before them."""
    cover: Floats32 = np.zeros_like(ground.d)
    for crossing in scene.crossings:
        ahead = ground.s - np.float32(crossing)
        if not (np.abs(ahead) < 6).any():
            continue
        on_road = np.abs(ground.d) < scene.half_width - 0.4
        bars = (np.abs(ahead) < 2) & on_road
        striped = np.where(ground.across > 0.9, np.float32(0.5), (ground.d / np.float32(0.9)) % 1 < 0.5)
        line = (np.abs(ahead + 4.2) < 0.3) & on_road & (ground.d > 0)
        cover = np.maximum(cover, np.where(bars, striped, line)).astype(np.float32)
    return cover


def _ground_light(scene: Scene, ground: _Ground) -> Floats32:
    """Return the brightness of each ground pixel: grain of the surface and shadows of trees."""
    grain_m = np.float32(1 / _GRAIN_M)
    fine = _texture(_noise(), _wrap(ground.s * grain_m, scene.seed), _wrap(ground.d * grain_m, 7))
    sharp = np.minimum(np.float32(_GRAIN_M) / np.maximum(ground.along, np.float32(_GRAIN_M)), 1)
    patch = _texture(_smooth_noise(), _wrap(ground.s * 2, scene.seed), _wrap(ground.d * 3, 31))
    shadow = np.maximum(patch, 0) * np.float32(scene.light.shade)
    grain = np.float32(0.08) * fine * sharp + np.float32(0.03) * patch
    light: Floats32 = (1 + grain) * (1 - np.minimum(shadow, np.float32(0.6)))
    return light


def _background(seen: Rays, scene: Scene, vehicle: float) -> Floats32:
    """Return sky, distant hills and, below the horizon, far country; [C, H, W]."""
    light = scene.light
    up = np.clip(-seen.down * np.float32(2.2), 0, 1)[:, None]
    sky = _plane(light.haze) * (1 - up) + _plane(light.sky) * up
    azimuth = vehicle + seen.yaw - np.arctan(seen.right)
    hill = 0.05 + 0.035 * _smooth_noise()[_wrap(azimuth * 40, scene.seed), scene.seed % _TEXTURE]
    country = np.float32(0.55) * _plane(light.haze) + np.float32(0.32) * _plane(scene.verge)
    return np.where(seen.down[:, None] > -hill, country, sky)


def _draw_wall(picture: Floats32, seen: Rays, scene: Scene, wall: _Hit) -> None:
    """Draw trees, rock or houses where the columns' rays meet them."""
    side = [scene.right, scene.left]
    height = _pick(side, wall.left, "height") * (
        1 + _pick(side, wall.left, "roughness") * _varying(scene, wall, _pick(side, wall.left, "block"))
    )
    up = MOUNT_HEIGHT_M - seen.down[:, None] * wall.depth
    pixels = np.flatnonzero((up >= 0) & (up < height))
    column, up = pixels % seen.width, up.take(pixels)
    clear, grain_m = _clear(wall.depth, scene), np.float32(1 / _GRAIN_M)
    colour = np.where(wall.left, _plane(scene.left.colour)[:, 0], _plane(scene.right.colour)[:, 0]) * clear
    faded = (1 - clear) * _plane(scene.light.haze)[:, 0]
    fine_s, patch_s = _wrap(wall.s * grain_m, 3), _wrap(wall.s * 4, scene.seed)
    grain = _texture(_noise(), _wrap(up * grain_m, scene.seed), fine_s.take(column))
    patch = _texture(_smooth_noise(), _wrap(up * 6, 11), patch_s.take(column))
    sharp = np.minimum(np.float32(_GRAIN_M * seen.focal) / wall.depth, 1)
    strength = np.float32(0.15) * _pick(side, wall.left, "texture")
    shade = np.float32(0.85) + strength.take(column) * (sharp.take(column) * grain + patch)
    for plane, tone, haze in zip(picture.reshape(3, -1), colour, faded, strict=True):
        plane[pixels] = tone.take(column) * shade + haze.take(column)


def _draw_rail(picture: Floats32, seen: Rays, scene: Scene, rail: _Hit, wall: _Hit) -> None:
    """Draw guard rails and their posts in front of what stands behind them."""
    railed = np.where(rail.left, scene.left.rail is not None, scene.right.rail is not None)
    railed &= rail.depth < wall.depth
    if not railed.any():
        return
    up = MOUNT_HEIGHT_M - seen.down[seen.top - 1 :, None] * rail.depth
    pixel = rail.depth / np.float32(seen.focal)
    low, high = _RAIL_M
    reach = (high - low + pixel) / 2 - np.abs(up - (low + high) / 2)
    cover = np.clip(reach / pixel, 0, np.minimum(1, (high - low) / pixel))
    post = ((rail.s % _POST_M < 0.3) & (rail.depth < 25)) * (up > 0) * (up < high)
    cover = np.maximum(cover, post * np.float32(0.8)) * railed
    clear = _clear(rail.depth, scene)
    colour = _plane(_RAIL)[:, 0] * clear + (1 - clear) * _plane(scene.light.haze)[:, 0]
    below = picture[:, seen.top - 1 :]
    below += cover * (colour[:, None] - below)


def _clear(distance: Floats32, scene: Scene) -> Floats32:
    """Return how much of a thing at this distance shows through the haze."""
    clear: Floats32 = np.exp(distance * np.float32(-1 / scene.light.visibility))
    return clear


def _plane(colour: Rgb) -> Floats32:
    """Return a colour as [C, 1, 1]."""
    return np.array(colour, np.float32)[:, None, None]


def _exposed(picture: Floats32, scene: Scene, grain: int) -> Image:
    """Return the picture as the sensor gives it: exposure, tint, noise, 8 bits."""
    picture *= _plane(scene.light.tint) * np.float32(scene.light.gain)
    pool = _grain_pool(picture.size)
    start = int(np.random.default_rng(grain).integers(len(pool) - picture.size))
    picture += pool[start : start + picture.size].reshape(picture.shape) * np.float32(scene.light.noise)
    picture.clip(0, 255, out=picture)
    image = np.empty((*picture.shape[1:], 3), np.uint8)
    for colour, plane in enumerate(picture):
        image[..., colour] = plane
    return image


def _pick(sides: list[Side], left: np.ndarray, name: str) -> Floats32:
    right_value, left_value = (float(getattr(side, name)) for side in sides)
    return np.where(left, np.float32(left_value), np.float32(right_value))


def _varying(scene: Scene, wall: _Hit, block: Floats32) -> Floats32:
    """Return -1 to 1 by column: one value a tree or house."""
    values = _texture(_noise(), _wrap(wall.s / block, scene.seed), _wrap(wall.left * 17.0, 5))
    return np.clip(values / 2, -1, 1)


def _texture(texture: Floats32, row: npt.NDArray[np.int32], column: npt.NDArray[np.int32]) -> Floats32:
    """Return a texture's values; faster than two indices."""
    return texture.ravel().take(row * _TEXTURE + column)


def _wrap(values: npt.NDArray[np.floating], shift: int) -> npt.NDArray[np.int32]:
    """Return indices into a texture that repeats."""
    wrapped: npt.NDArray[np.int32] = (values.astype(np.int32) + np.int32(shift % _TEXTURE)) & (_TEXTURE - 1)
    return wrapped


@cache
def _noise() -> Floats32:
    return np.random.default_rng(7).standard_normal((_TEXTURE, _TEXTURE), dtype=np.float32)


@cache
def _smooth_noise() -> Floats32:
    """Return a texture of unit variance whose blobs are some 8 cells wide."""
    wave = np.fft.fftfreq(_TEXTURE) * _TEXTURE
    radius = np.hypot(*np.meshgrid(wave, wave))
    smooth = np.fft.ifft2(np.fft.fft2(_noise()) * np.exp(-((radius / 20) ** 2))).real
    return (smooth / smooth.std()).astype(np.float32)


@cache
def _grain_pool(size: int) -> Floats32:
    return np.random.default_rng(11).standard_normal(2 * size + 1, dtype=np.float32)
