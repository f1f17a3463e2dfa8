# ruff: noqa: INP001, T201 - a script beside its data, which prints what it measured
"""How good the dead reckoning is, measured without GPS: parts 3 and 4 drive pieces of part 2's road back.

    .venv/bin/python examples/data/udacity-winding-road/there_and_back.py

Each way is reckoned by itself. Where the way back fits best on the way out, bends must agree in size, change sides,
and be longer for whoever drives outside: in right-hand traffic that is the left bend, so the fit also tells whether
+ is left. The two ways were driven at different speeds, so they also tell what the model without slip leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from touge.drives.readers.table import dead_reckoned

Floats = npt.NDArray[np.float64]

DRIVES = Path(__file__).parent / "drives"
RATIO, WHEELBASE = 14.8, 2.85
#: Curvature is compared as its mean over this many metres; understeer over more, so that lags cancel.
SMOOTH, SMOOTH_MORE = 15, 41
#: Where on part 2 (metres from its start) parts 3 and 4 end, roughly: a search over all offsets found these.
ENDS = {3: 4720.0, 4: 940.0}


@dataclass(frozen=True)
class Way:
    """One part, reckoned: time [N], and arc length, yaw and speed at it; metres, radians, m/s."""

    t: Floats
    s: Floats
    yaw: Floats
    speed: Floats

    def per_metre(self, values: Floats) -> Floats:
        """Return values at each metre of arc length."""
        return np.interp(np.arange(self.s[-1]), self.s, values)


def way(part: int) -> Way:
    """Read and reckon one part."""
    stamps, angle, speed = np.loadtxt(DRIVES / f"round2_part{part}.csv", delimiter=",", skiprows=1).T
    t_us = np.round(stamps / 1e3).astype(np.int64)
    x, y, yaw = dead_reckoned(t_us, angle, speed, RATIO, WHEELBASE).T
    s = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    return Way((t_us - t_us[0]) / 1e6, s, yaw, speed)


def curvature(yaw: Floats, width: int = SMOOTH) -> Floats:
    """Return the curvature of a yaw given at each metre, 1/m."""
    smooth: Floats = np.convolve(np.gradient(yaw), np.ones(width) / width, "same")
    return smooth


def fit(out: Way, back: Way, end: float) -> tuple[Floats, Floats, float]:
    """Lay the way back on the way out: out = offset + scale * r + lane * heading, r metres from the end of `back`.

    Returns:
        offset [m], scale and lane [m/rad]; the arc length on `out` of each metre r; the correlation of curvature.
    """
    yaw_out, yaw = out.per_metre(out.yaw), back.per_metre(back.yaw)[::-1]
    yaw = yaw - yaw[0]
    r, kappa_out, kappa = np.arange(len(yaw), dtype=float), curvature(yaw_out), curvature(yaw)

    def mapped(p: Floats) -> Floats:
        return p[0] + p[1] * r + p[2] * yaw

    def misfit(p: Floats) -> float:
        return -float(np.corrcoef(np.interp(mapped(p), np.arange(len(kappa_out)), kappa_out), kappa)[0, 1])

    start = np.array([[end, 1.0, 0.0], [end + 10, 1.0, 0.0], [end, 0.99, 0.0], [end, 1.0, 3.0]])
    options = {"xatol": 1e-4, "fatol": 1e-9, "maxiter": 4000, "initial_simplex": start}
    found = minimize(misfit, start[0], method="Nelder-Mead", options=options)
    return found.x, mapped(found.x), -float(found.fun)


def windows(out: Way, back: Way, on_out: Floats) -> tuple[Floats, Floats]:
    """Return the heading change of each window of 6.4 s of `back`, a second apart: as reckoned there, and on `out`.

    Both as driven back: a heading on the way out is that of the way back less half a turn.
    """
    starts = np.arange(1.6, back.t[-1] - 6.4, 1.0)
    ends_s = [np.interp(starts + ahead, back.t, back.s) for ahead in (0.0, 6.4)]
    here, there = (np.interp(back.s[-1] - s, np.arange(len(on_out)), on_out) for s in ends_s)
    change = np.interp(starts + 6.4, back.t, back.yaw) - np.interp(starts, back.t, back.yaw)
    return change, np.interp(there, out.s, out.yaw) - np.interp(here, out.s, out.yaw)


def understeer(out: Way, back: Way, on_out: Floats) -> tuple[float, float]:
    """Return K / L in s^2/m^2 and its standard error: reckoned curvature = (1 + K v^2 / L) * true curvature.

    From bends driven at two speeds: the difference of both curvatures on their mean times the difference of v^2,
    beside a constant (a steering offset) and a factor (the fit's own).
    """
    yaw, speed = (back.per_metre(values)[::-1] for values in (back.yaw, back.speed))
    yaw_out, speed_out = (
        np.interp(on_out, np.arange(out.s[-1]), out.per_metre(values)) for values in (out.yaw, out.speed)
    )
    inner = slice(SMOOTH_MORE, -SMOOTH_MORE)
    one, other = (curvature(values, SMOOTH_MORE)[inner] for values in (yaw_out, yaw))
    mean = (one + other) / 2
    terms = np.column_stack([np.ones_like(mean), mean, mean * (speed_out**2 - speed**2)[inner]])
    solution = np.linalg.lstsq(terms, one - other)[0]
    spread = np.var(one - other - terms @ solution) * SMOOTH_MORE  # neighbours within the mean are not independent
    return float(solution[2]), float(np.sqrt(np.linalg.inv(terms.T @ terms)[2, 2] * spread))


def main() -> None:
    """Print the comparison of both pairs of ways."""
    out = way(2)
    for part, end in ENDS.items():
        back = way(part)
        (offset, scale, lane), on_out, correlation = fit(out, back, end)
        of_back, of_out = windows(out, back, on_out)
        difference = of_back - of_out
        large = np.abs(of_back) >= 0.2
        same_side = np.sign(of_back[large]) == np.sign(of_out[large])
        k, error = understeer(out, back, on_out)
        print(f"part {part}: lies on part 2 from {on_out.min():.0f} m to {on_out.max():.0f} m of its way out")
        print(f"  curvature correlates {correlation:.3f}; length out over back {scale:.4f} (start {offset:.0f} m)")
        print(f"  left bends are longer by {lane:+.1f} m/rad out than back: + is left if this is positive")
        print(
            f"  {len(of_back)} windows of 6.4 s: heading change differs by {difference.mean():+.3f} rad on average, "
            f"{difference.std():.3f} around it; {of_back.std():.3f} is their own spread"
        )
        print(f"  same side in {same_side.sum()} of {large.sum()} windows with at least 0.2 rad")
        print(f"  mean speed {out.speed[(out.s > on_out.min()) & (out.s < on_out.max())].mean():.1f} m/s out,", end="")
        print(f" {back.speed.mean():.1f} m/s back; K/L = {k:.1e} +- {error:.0e} s^2/m^2")


if __name__ == "__main__":
    main()
