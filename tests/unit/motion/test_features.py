"""Features of a future."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from roads import arc, bend, driven, mirrored, s_curve, straight

from touge.contract.errors import DataError
from touge.motion.features import Features, features


def test_the_features_of_an_arc_are_those_of_the_circle():
    f = features(arc(-50.0, 10.0))

    assert f.path_length == pytest.approx(64.0, rel=1e-3)
    assert (f.curvature_mean, f.curvature_min) == pytest.approx((-0.02, -0.02), rel=1e-2)
    assert f.abs_curvature_p90 == pytest.approx(0.02, rel=1e-2)
    assert f.heading_change == pytest.approx(-1.28)
    assert f.lateral_acceleration_max == pytest.approx(2.0, rel=2e-2)
    assert f.lateral_at_3s == pytest.approx(-50.0 * (1 - np.cos(0.6)), rel=1e-3)


def test_an_s_curve_counts_in_full_in_the_curvature_integral():
    f = features(s_curve(80.0, 32.0))

    assert f.heading_change == pytest.approx(0.0, abs=0.01)
    assert f.curvature_integral == pytest.approx(0.8, abs=0.05)
    assert f.heading_range == pytest.approx(0.4, abs=0.02)


def test_the_bend_starts_where_the_curvature_rises():
    assert features(bend(60.0, 25.0, 40.0)).bend_start == pytest.approx(25.0, abs=1.5)


def test_braking_shows_in_first_and_last_speed():
    f = features(driven(np.zeros_like, lambda t: 14.0 - t))

    assert f.speed_start == pytest.approx(13.75, abs=0.02)
    assert f.speed_end == pytest.approx(7.85, abs=0.02)
    assert (f.speed_min, f.speed_max) == (pytest.approx(7.65), pytest.approx(13.95))


def test_a_vehicle_that_stands_has_finite_features():
    assert all(np.isfinite(list(features(np.zeros((64, 3))).to_dict().values())))


def test_features_come_back_from_a_row():
    f = features(arc(120.0))

    assert Features.from_dict(f.to_dict() | {"of_a_later_version": 1.0}) == f


def test_a_row_without_some_features_names_them_all():
    values = features(straight()).to_dict()
    del values["speed_end"], values["lateral_end"]

    with pytest.raises(DataError, match="speed_end, lateral_end missing"):
        Features.from_dict(values)


SIGNED = {"curvature_mean", "heading_change", "lateral_at_3s", "lateral_end"}


@given(st.floats(20, 500), st.floats(0, 40), st.floats(2, 25))
def test_mirroring_flips_what_is_signed_and_nothing_else(radius, start, speed):
    future = bend(radius, start, 40.0, speed)
    f, m = features(future).to_dict(), features(mirrored(future)).to_dict()

    swapped = {"curvature_min": -m["curvature_max"], "curvature_max": -m["curvature_min"]}
    assert m | swapped | {name: -m[name] for name in SIGNED} == pytest.approx(f)
