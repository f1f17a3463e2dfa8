"""Pictures as inline SVG: numbers in, markup out. Knows shapes and colours, not what a model or a gate is."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Told apart by people who do not see red or green too (Okabe and Ito 2008).
TRUTH, BASE, TUNED, OTHER = "#1b2733", "#d55e00", "#0072b2", "#8a97a3"
_GRID, _AXIS, _TEXT = "#e3e8ed", "#b8c2cc", "#52606d"


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line on a picture: points [M, 2] in the picture's own units."""

    points: Array
    colour: str
    width: float = 1.5
    opacity: float = 1.0
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a chart: data range and the pixels that it is drawn on."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, about: int = 5) -> list[float]:
        """Return round values within the range."""
        raw = (self.high - self.low) / about
        magnitude = 10.0 ** math.floor(math.log10(raw))
        step = next(m * magnitude for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * magnitude >= raw)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(step * index, 10) for index in range(first, last + 1)]


def birdseye(strokes: Sequence[Stroke], *, width: int = 240, height: int = 300) -> str:
    """Return paths in metres (x forward, y left) seen from above, forward up, both axes to one scale."""
    points = np.concatenate([np.zeros((1, 2)), *(stroke.points for stroke in strokes)])
    low, high = points.min(axis=0), points.max(axis=0)
    reach = max((high[0] - low[0]) / (height - 36), (high[1] - low[1]) / (width - 36), 10.0 / height)
    middle = (low + high) / 2
    across = Axis(middle[1] + reach * width / 2, middle[1] - reach * width / 2, 0, width)
    ahead = Axis(middle[0] - reach * height / 2, middle[0] + reach * height / 2, height, 0)
    spacing = next(step for step in (2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1e9) if step / reach >= 34)
    parts = [_line(0, ahead(value), width, ahead(value)) for value in _multiples(ahead.low, ahead.high, spacing)]
    parts += [_line(across(value), 0, across(value), height) for value in _multiples(across.high, across.low, spacing)]
    for stroke in strokes:
        placed = np.array([[across(y), ahead(x)] for x, y in stroke.points])
        parts.append(polyline(Stroke(placed, stroke.colour, stroke.width, stroke.opacity, stroke.dashed)))
    parts.append(f'<circle cx="{across(0):.1f}" cy="{ahead(0):.1f}" r="3" fill="{TRUTH}"/>')
    parts.append(_text(6, height - 6, f"grid {spacing:g} m", anchor="start"))
    return svg(width, height, parts, "paths seen from above")


def scatter(groups: Mapping[str, Array], *, limit: float, width: int = 420, height: int = 420) -> str:
    """Return points [M, 2] (true, predicted; degrees) by colour, with the line on which both are equal."""
    x, y = Axis(-limit, limit, 52, width - 12), Axis(-limit, limit, height - 44, 12)
    parts = _axes(x, y, "true heading change, degrees (left positive)", "predicted, degrees")
    parts.append(_line(x(-limit), y(-limit), x(limit), y(limit), colour=TRUTH, dashed=True))
    parts.append(_line(x(-limit), y(0), x(limit), y(0), colour=_AXIS))
    parts.append(_line(x(0), y(-limit), x(0), y(limit), colour=_AXIS))
    for colour, points in groups.items():
        dots = (f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="2.4"/>' for a, b in np.clip(points, -limit, limit))
        parts.append(f'<g fill="{colour}" fill-opacity="0.45">{"".join(dots)}</g>')
    return svg(width, height, parts, "predicted against true heading change")


def curves(lines: Mapping[str, Array], colours: Mapping[str, str], *, width: int = 640, height: int = 260) -> str:
    """Return lines of points [M, 2] (step, value) with a legend; values must be positive, the axis is logarithmic."""
    points = np.concatenate(list(lines.values()))
    logs = np.log10(points[:, 1])
    x = Axis(0.0, float(points[:, 0].max()) or 1.0, 52, width - 12)
    y = Axis(float(logs.min()) - 0.05, float(logs.max()) + 0.05, height - 40, 12)
    parts = _axes(x, y, "step", "loss", _decades(y.low, y.high))
    for index, (name, line) in enumerate(lines.items()):
        placed = np.array([[x(step), y(math.log10(value))] for step, value in line])
        parts.append(polyline(Stroke(placed, colours[name], 1.6)))
        parts.append(_text(width - 16, 26 + 16 * index, name, anchor="end", colour=colours[name]))
    return svg(width, height, parts, "training loss by step")


@dataclass(frozen=True, slots=True)
class Bar:
    """A value with its interval."""

    name: str
    value: float
    low: float | None
    high: float | None
    colour: str


def bars(rows: Sequence[Bar], *, unit: str, width: int = 560) -> str:
    """Return horizontal bars with whiskers, in the order given."""
    height = 30 * len(rows) + 34
    top = max(max(row.value, row.high or 0.0) for row in rows) * 1.12 or 1.0
    x = Axis(0.0, top, 168, width - 52)
    parts = [_line(x(tick), 6, x(tick), height - 26) for tick in x.ticks()]
    parts += [_text(x(tick), height - 10, f"{tick:g}") for tick in x.ticks()]
    parts.append(_text(width - 4, height - 10, unit, anchor="end"))
    for index, row in enumerate(rows):
        middle = 30 * index + 20
        parts.append(_text(160, middle + 4, row.name, anchor="end", colour=TRUTH))
        parts.append(
            f'<rect x="{x(0):.1f}" y="{middle - 8}" width="{max(0.0, x(row.value) - x(0)):.1f}" height="16" rx="2" '
            f'fill="{row.colour}" fill-opacity="0.85"/>'
        )
        if row.low is not None and row.high is not None:
            parts.append(_line(x(max(0.0, row.low)), middle, x(row.high), middle, colour=TRUTH))
        end = x(max(row.value, row.high or 0.0)) + 6
        parts.append(_text(end, middle + 4, f"{row.value:.2f}", anchor="start", colour=TRUTH))
    return svg(width, height, parts, "error by model")


def over_picture(source: str, width: int, height: int, strokes: Sequence[Stroke]) -> str:
    """Return lines in pixels over a picture, given as a data URI of this size."""
    picture = f'<image href="{source}" width="{width}" height="{height}" preserveAspectRatio="none"/>'
    return svg(width, height, [picture, *map(polyline, strokes)], "paths on the camera frame")


def svg(width: float, height: float, parts: Iterable[str], title: str) -> str:
    """Return a picture that scales with its place."""
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{html.escape(title)}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def polyline(stroke: Stroke) -> str:
    """Return a line through pixels."""
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in stroke.points)
    dashes = f' stroke-dasharray="{3 * stroke.width:g} {2.4 * stroke.width:g}"' if stroke.dashed else ""
    return (
        f'<polyline points="{points}" fill="none" stroke="{stroke.colour}" stroke-width="{stroke.width:g}" '
        f'stroke-opacity="{stroke.opacity:g}" stroke-linejoin="round" stroke-linecap="round"{dashes}/>'
    )


def _axes(x: Axis, y: Axis, x_name: str, y_name: str, marks: Mapping[float, str] | None = None) -> list[str]:
    """Return grid, figures and names; `marks`: places and figures of the vertical axis where they are not even."""
    marks = marks or {tick: f"{tick:g}" for tick in y.ticks()}
    parts = [_line(x(tick), y.start, x(tick), y.end) for tick in x.ticks()]
    parts += [_text(x(tick), y.start + 16, f"{tick:g}") for tick in x.ticks()]
    parts += [_line(x.start, y(tick), x.end, y(tick)) for tick in marks]
    parts += [_text(x.start - 6, y(tick) + 4, name, anchor="end") for tick, name in marks.items()]
    parts.append(_text((x.start + x.end) / 2, y.start + 34, x_name))
    middle = (y.start + y.end) / 2
    parts.append(f'<g transform="rotate(-90 12 {middle:.1f})">{_text(12, middle + 4, y_name)}</g>')
    return parts


def _decades(low: float, high: float) -> dict[float, str]:
    """Return the logarithms of 1, 2 and 5 times powers of ten within a range of logarithms, with their figures."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    values = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    return {math.log10(value): f"{value:g}" for value in values if low <= math.log10(value) <= high}


def _multiples(low: float, high: float, step: float) -> list[float]:
    return [step * index for index in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _line(x1: float, y1: float, x2: float, y2: float, *, colour: str = _GRID, dashed: bool = False) -> str:
    dashes = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{dashes}/>'


def _text(x: float, y: float, text: str, *, anchor: str = "middle", colour: str = _TEXT) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="12" text-anchor="{anchor}"'
    return f'<text {place} fill="{colour}">{html.escape(text)}</text>'
