"""Left for right in a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touge.language.swap import swap_directions


@pytest.mark.parametrize(
    ("text", "swapped"),
    [
        ("Turn left, then RIGHT.", "Turn right, then LEFT."),
        ("Left curve ahead", "Right curve ahead"),
        ("the right-hand bend leans rightward", "the left-hand bend leans leftward"),
        ("the leftmost lane", "the rightmost lane"),
        ("左カーブの後に右カーブ", "右カーブの後に左カーブ"),
        ("右側の車を避けて左折", "左側の車を避けて右折"),
    ],
)
def test_sides_are_exchanged_and_case_is_kept(text, swapped):
    assert swap_directions(text) == swapped


@pytest.mark.parametrize(
    "text",
    ["It has the right of way.", "Stop right now.", "The car is left behind.", "bright light", "右左折", "左右を確認"],
)
def test_words_that_name_no_side_stay(text):
    assert swap_directions(text) == text


@given(st.lists(st.sampled_from(["left", "Right", "curve", "左", "右", "カーブ", "keep", "、"]), max_size=12))
def test_swapping_twice_gives_the_text_back(words):
    text = " ".join(words)

    assert swap_directions(swap_directions(text)) == text
