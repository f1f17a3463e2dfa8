"""The training mix by weights."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touge.curation.balance import straight_weight

windows = st.integers(1, 10**7)


@given(windows, windows, st.floats(0.001, 0.999))
def test_the_wanted_share_of_an_epoch_is_reached(straight, others, share):
    of_straight, of_others = straight_weight(straight, others, share)

    assert of_straight * straight / (of_straight * straight + of_others * others) == pytest.approx(share)


@given(windows, windows, st.floats(0.0, 0.999))
def test_every_other_window_comes_once_an_epoch(straight, others, share):
    assert straight_weight(straight, others, share)[1] == 1.0


@pytest.mark.parametrize(
    ("straight", "others", "share", "expected"),
    [
        (70, 30, 0.5, (30 / 70, 1.0)),
        (10, 70, 0.3, (3.0, 1.0)),
        (70, 30, 0.0, (0.0, 1.0)),
        (70, 30, 1.0, (1.0, 0.0)),
        (70, 30, None, (1.0, 1.0)),
        (70, 0, 0.3, (1.0, 1.0)),
        (0, 30, 0.3, (1.0, 1.0)),
    ],
)
def test_known_mixes(straight, others, share, expected):
    assert straight_weight(straight, others, share) == pytest.approx(expected)
