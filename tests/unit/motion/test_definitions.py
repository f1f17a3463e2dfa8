"""Finding a label definition by name, and what all of them have in common."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from roads import bend, mirrored

from touge.contract.errors import RecipeError
from touge.contract.sample import Label
from touge.motion.definitions import DEFINITIONS, definition
from touge.motion.labels import Direction, Kind, direction_of, radius_band, report_bucket


def test_a_definition_is_found_by_its_name():
    assert definition("jp-2026.1").name == "jp-2026.1"


def test_an_unknown_name_is_answered_with_the_nearest_and_all_names():
    with pytest.raises(RecipeError, match=r"`jp-2026`; did you mean `jp-2026.1`\? .*waymo-motion, vad-command"):
        definition("jp-2026")


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_label_names_its_definition(name):
    assert definition(name).label(bend(60.0, 10.0, 30.0)).config == name


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_vehicle_that_stands_is_a_stop_or_straight(name):
    label = definition(name).label(np.zeros((64, 3)))

    assert label.kind in {Kind.STOP, Kind.STRAIGHT}
    assert label.direction == "none"


@given(st.sampled_from(sorted(DEFINITIONS)), st.floats(8, 600), st.floats(0, 30), st.floats(1, 25))
def test_every_definition_mirrors(name, radius, start, speed):
    future = bend(radius, start, 50.0, speed)
    label, other = (definition(name).label(path) for path in (future, mirrored(future)))

    assert (other.kind, other.radius_band) == (label.kind, label.radius_band)
    assert other.direction == Direction(label.direction).opposite


@pytest.mark.parametrize(("radius", "band"), [(0.0, "<15"), (15.0, "15-30"), (459.9, "280-460"), (460.0, "none")])
def test_bands_are_half_open(radius, band):
    assert radius_band(radius) == band


@pytest.mark.parametrize(("value", "direction"), [(0.1, "left"), (-0.1, "right"), (0.0, "none")])
def test_left_is_positive(value, direction):
    assert direction_of(value) == direction
    assert Direction(direction).sign == np.sign(value)


@pytest.mark.parametrize(
    ("kind", "bucket"),
    [("curve", "curve"), ("s_curve", "curve"), ("straight", "straight"), ("turn", "turn"), ("ambiguous", "ambiguous")],
)
def test_reports_count_s_curves_as_curves_and_the_rest_apart(kind, bucket):
    label = Label(config="jp-2026.1", kind=kind, direction="none", radius_band="none")

    assert report_bucket(label) == bucket
