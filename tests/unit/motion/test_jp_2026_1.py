"""The label definition jp-2026.1: a case on each side of every edge, noise, mirror."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from roads import arc, bend, clothoid, driven, lane_change, mirrored, noisy, s_curve, straight

from touge.motion.jp_2026_1 import Jp20261, Quantities
from touge.motion.labels import Direction

LABEL = Jp20261().label


def named(future):
    label = LABEL(future)
    return label.kind, label.direction, label.radius_band


def quarter(radius, speed, angle=np.pi / 2):
    """An intersection: 10 m straight, an arc of `angle`, straight."""
    return bend(radius, 10.0, abs(radius) * angle, speed)


def s_of(size, other):
    """Two arcs of radius 300 m that turn by these angles."""
    return s_curve(300.0, 300.0 * size, 25.0, second=300.0 * other)


def late_correction(out, back):
    """An arc of radius 150 m by `out`, one to the other side by `back`, straight on."""
    return s_curve(150.0, 150.0 * out, 6.0, second=150.0 * back)


def range_of(change, radius=200.0):
    """A curve of that heading change in its last part."""
    return bend(radius, 20.0, radius * change, 14.0)


def braking(first_speed, stop_after, radius):
    return driven(lambda s: np.full_like(s, 1 / radius), lambda t: np.maximum(0.0, first_speed * (1 - t / stop_after)))


EDGES = {
    "path 10.2 m": (straight(1.6), "straight"),
    "path 9.9 m": (straight(1.55), "stop"),
    "stop in a curve": (braking(5.0, 3.0, 60.0), "stop"),
    "brake to a stop after half a curve": (braking(12.0, 4.0, 60.0), "curve"),
    "turn of radius 24 m": (arc(24.0, 6.0), "turn"),
    "turn of radius 26 m": (arc(26.0, 6.0), "curve"),
    "turn by 1.05 rad": (quarter(12.0, 5.0, 1.05), "turn"),
    "turn by 0.95 rad": (quarter(12.0, 5.0, 0.95), "curve"),
    "turn at 7.9 m/s": (arc(20.0, 7.9), "turn"),
    "turn at 8.1 m/s": (arc(20.0, 8.1), "curve"),
    "lane change at 40 km/h": (lane_change(3.5, 45.0, 11.1), "lane_change"),
    "lane change at 80 km/h": (lane_change(3.5, 110.0, 22.2), "lane_change"),
    "lane change by 2.6 m": (lane_change(2.6, 60.0, 11.1), "lane_change"),
    "lane change by 2.4 m": (lane_change(2.4, 60.0, 11.1), "s_curve"),
    "lane change by 4.4 m": (lane_change(4.4, 60.0, 11.1), "lane_change"),
    "lane change by 4.6 m": (lane_change(4.6, 60.0, 11.1), "s_curve"),
    "lane change on 31 m": (lane_change(2.7, 30.0, 31.0 / 6.4), "lane_change"),
    "lane change on 29 m": (lane_change(2.7, 28.0, 29.0 / 6.4), "s_curve"),
    "lane change that ends 0.09 rad off": (late_correction(0.14, 0.05), "lane_change"),
    "lane change that ends 0.11 rad off": (late_correction(0.16, 0.05), "curve"),
    "lane change with a lobe of 0.036 rad": (late_correction(0.12, 0.04), "lane_change"),
    "lane change with a lobe of 0.026 rad": (late_correction(0.12, 0.03), "curve"),
    "s of 0.08 and 0.08 rad": (s_of(0.08, 0.08), "s_curve"),
    "s of 0.30 and 0.08 rad": (s_of(0.30, 0.08), "s_curve"),
    "s of 0.30 and 0.06 rad": (s_of(0.30, 0.06), "curve"),
    "s of radius 450 m": (s_curve(450.0, 70.0, 22.0), "s_curve"),
    "s of radius 480 m": (s_curve(480.0, 70.0, 22.0), "ambiguous"),
    "curve of radius 455 m": (arc(455.0, 16.0), "curve"),
    "curve of radius 465 m": (arc(465.0, 16.0), "ambiguous"),
    "range 0.105 rad": (range_of(0.105), "curve"),
    "range 0.095 rad": (range_of(0.095), "ambiguous"),
    "range 0.052 rad": (arc(1000.0, 52.0 / 6.4), "ambiguous"),
    "range 0.048 rad": (arc(1000.0, 48.0 / 6.4), "straight"),
    "clothoid into a mountain bend": (clothoid(60.0, 11.0), "curve"),
}


@pytest.mark.parametrize(("future", "kind"), EDGES.values(), ids=EDGES.keys())
def test_each_side_of_every_edge_has_its_kind(future, kind):
    assert LABEL(future).kind == kind


@pytest.mark.parametrize(("future", "kind"), EDGES.values(), ids=EDGES.keys())
def test_the_mirrored_window_has_the_same_kind_to_the_other_side(future, kind):
    label, other = LABEL(future), LABEL(mirrored(future))

    assert (other.kind, other.radius_band) == (kind, label.radius_band)
    assert other.direction == Direction(label.direction).opposite


@pytest.mark.parametrize(
    ("radius", "speed", "band"),
    [
        (14.8, 4.0, "<15"),
        (15.2, 4.0, "15-30"),
        (29.7, 6.0, "15-30"),
        (30.3, 6.0, "30-60"),
        (59.5, 9.0, "30-60"),
        (60.5, 9.0, "60-100"),
        (99.0, 11.0, "60-100"),
        (101.0, 11.0, "100-150"),
        (149.0, 14.0, "100-150"),
        (151.0, 14.0, "150-280"),
        (278.0, 16.0, "150-280"),
        (282.0, 16.0, "280-460"),
        (457.0, 22.0, "280-460"),
    ],
)
def test_the_radius_band_changes_at_the_ordinance_radii(radius, speed, band):
    assert LABEL(arc(radius, speed)).radius_band == band


@pytest.mark.parametrize("future", [straight(), straight(0.5), arc(800.0, 12.0)])
def test_straight_stop_and_ambiguous_have_no_band_and_no_direction(future):
    label = LABEL(future)

    assert (label.direction, label.radius_band) == ("none", "none")


def test_a_curve_bends_to_where_it_ends():
    assert LABEL(arc(-100.0)).direction == "right"


def test_an_s_curve_has_the_direction_of_its_first_bend():
    assert LABEL(s_curve(100.0, 20.0, 10.0, second=40.0)).direction == "left"


def test_a_lane_change_goes_to_where_it_arrives():
    assert LABEL(lane_change(-3.5, 60.0, 12.0)).direction == "right"


def test_a_60_kmh_prefectural_road_at_its_limit_is_a_curve():
    assert named(arc(150.5, 60 / 3.6)) == ("curve", "left", "150-280")


def test_the_quantities_of_an_arc_are_those_of_the_circle():
    q = Quantities.of(arc(-20.0, 6.0))

    assert q.radius == pytest.approx(20.0, rel=5e-3)
    assert q.end == pytest.approx(-38.4 / 20.0, rel=5e-3)
    assert q.range == pytest.approx(38.4 / 20.0, rel=5e-3)
    assert q.turn_speed == pytest.approx(6.0, rel=5e-3)


#: Away from every edge by more than the noise can move the quantity.
FIRM = {
    "straight, 40 km/h": straight(11.1),
    "straight, 80 km/h": straight(22.2),
    "arc 20 m": arc(20.0, 6.0),
    "arc 45 m": arc(-45.0, 8.0),
    "arc 80 m": arc(80.0, 11.0),
    "arc 125 m": arc(-125.0, 16.7),
    "arc 200 m": arc(200.0, 16.7),
    "arc 370 m": arc(370.0, 22.2),
    "clothoid to 180 m": clothoid(180.0, 16.7),
    "clothoid to 65 m": clothoid(-65.0, 11.0),
    "s of 80 m": s_curve(80.0, 40.0, 13.0),
    "s of 200 m": s_curve(200.0, 50.0, 16.0),
    "lane change, 40 km/h": lane_change(3.4, 50.0, 11.1),
    "lane change, 80 km/h": lane_change(-3.5, 110.0, 22.2),
    "turn left": quarter(12.0, 6.0),
    "turn right": quarter(-18.0, 6.5),
    "stopped": braking(3.0, 1.5, 60.0),
    "stop in a curve": braking(12.0, 4.0, 45.0),
}
BENDS = [name for name, future in FIRM.items() if LABEL(future).kind != "straight"]
DRAWS = 60


def changed(names, disturbed, parts=slice(None)):
    """Share of noisy windows whose label differs from the clean one's."""
    rng = np.random.default_rng(7)
    pairs = [
        (named(FIRM[name])[parts], named(disturbed(FIRM[name], rng))[parts]) for name in names for _ in range(DRAWS)
    ]
    return np.mean([clean != noise for clean, noise in pairs])


def within(path, rng):
    """Independent noise at each pose, at most 5 cm and 0.02 rad."""
    return path + rng.uniform(-1, 1, path.shape) * np.array([0.05, 0.05, 0.02])


def drifting(path, rng):
    """Slow error of a filtered localisation, at most 5 cm and 0.02 rad, with periods of 8 to 16 s."""
    t = 0.1 * np.arange(1, len(path) + 1)[:, None]
    return path + np.sin(2 * np.pi * (t / rng.uniform(8, 16, 3) + rng.uniform(0, 1, 3))) * np.array([0.05, 0.05, 0.02])


def test_kind_and_direction_survive_independent_noise():
    assert changed(FIRM, within, slice(2)) <= 0.02


def test_kind_and_direction_of_bends_survive_normal_noise_of_that_standard_deviation():
    assert changed(BENDS, noisy, slice(2)) <= 0.02


def test_the_radius_band_survives_a_drift_of_that_size():
    banded = [name for name in FIRM if "lane change" not in name and "stop" not in name]

    assert changed(banded, drifting) <= 0.02


@given(st.floats(6.0, 900.0), st.floats(2.0, 25.0), st.floats(0.0, 40.0))
def test_any_bend_mirrors(radius, speed, start):
    future = bend(radius, start, 60.0, speed)
    label, other = LABEL(future), LABEL(mirrored(future))

    assert (other.kind, other.radius_band) == (label.kind, label.radius_band)
    assert other.direction == Direction(label.direction).opposite
