"""Words against the trajectory of the same rollout, counted."""

import numpy as np
import pytest

from touge.contract.prediction import Rollout
from touge.evaluation.consistency import claimed_direction, tally
from touge.motion.labels import Direction

from .paths import arc, make_sample

LEFT_BEND = make_sample(arc(80.0))


def rollout(text: str, radius: float) -> Rollout:
    return Rollout(reasoning=text, trajectory=tuple(map(tuple, arc(radius))))


def test_each_rollout_is_judged_by_its_own_trajectory():
    said = "Left curve ahead, slow down and follow it."
    found = tally([rollout(said, 80.0), rollout(said, np.inf), rollout("Slow down for the truck.", 80.0)], LEFT_BEND)

    assert (found.rollouts, found.match, found.mismatch) == (3, 1, 1)


def test_doing_what_one_says_counts_though_the_road_bends_the_other_way():
    found = tally([rollout("Right curve ahead, follow it.", -80.0)], LEFT_BEND)

    assert (found.match, found.right_direction) == (1, 0)


def test_saying_the_right_side_and_driving_straight_is_a_mismatch_in_japanese_too():
    found = tally([rollout("この先左カーブ、減速します。", np.inf)], LEFT_BEND)

    assert (found.mismatch, found.right_direction) == (1, 1)


def test_on_a_straight_road_no_direction_is_right():
    straight = make_sample(arc(np.inf), kind="straight", direction="none")

    assert tally([rollout("Keep lane.", np.inf)], straight).right_direction is None


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("Follow the right curve.", Direction.RIGHT),
        ("Slow down for the car on the left.", None),
        ("左折します。", Direction.LEFT),
        ("", None),
    ],
)
def test_the_claimed_side_is_that_of_the_manoeuvre(text, side):
    assert claimed_direction(text) is side
