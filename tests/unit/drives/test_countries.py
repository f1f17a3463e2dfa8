"""Countries by code."""

import pytest

from touge.drives.countries import country_code, keeps_left


@pytest.mark.parametrize(
    ("name", "code"),
    [("Japan", "JP"), ("United States", "US"), ("united_states", "US"), ("jp", "JP"), ("Atlantis", "ATLANTIS")],
)
def test_a_name_becomes_its_code(name, code):
    assert country_code(name) == code


@pytest.mark.parametrize(("country", "left"), [("JP", True), ("Japan", True), ("US", False), ("Germany", False)])
def test_each_country_keeps_its_side(country, left):
    assert keeps_left(country) is left
