"""Whether a trajectory does what the words say."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from roads import arc, bend, driven, lane_change, mirrored, s_curve, straight

from touge.language.claim import Claim, ClaimKind
from touge.language.consistency import Verdict, judge, judge_claims, judge_text
from touge.motion.labels import Direction

MATCH, MISMATCH, NO_CLAIM = Verdict.MATCH, Verdict.MISMATCH, Verdict.NO_CLAIM


def claim(kind, direction="none"):
    return Claim(ClaimKind(kind), Direction(direction), "")


LEFT, RIGHT = claim("curve", "left"), claim("curve", "right")


def verdict(text, predicted, true):
    return judge_text(text, predicted, true).verdict


def test_saying_right_and_bending_right_match():
    assert verdict("Adapt speed for the right curve ahead.", arc(-80.0), arc(-60.0)) == MATCH


def test_saying_right_and_driving_straight_through_the_bend_do_not():
    assert verdict("Adapt speed for the right curve ahead.", straight(), arc(-80.0)) == MISMATCH


def test_saying_right_and_bending_left_do_not():
    assert verdict("右カーブに備えて減速する。", arc(80.0), straight()) == MISMATCH


def test_a_curve_beyond_the_horizon_is_no_claim():
    assert verdict("Adapt speed for the right curve ahead.", straight(), straight()) == NO_CLAIM


def test_without_a_claim_there_is_nothing_to_judge():
    assert verdict("Stop for the red light.", arc(80.0), arc(80.0)) == NO_CLAIM


@pytest.mark.parametrize(("heading", "expected"), [(0.051, MATCH), (0.049, MISMATCH)])
def test_over_a_short_path_a_bend_is_five_hundredths_of_a_radian(heading, expected):
    assert judge(LEFT, arc(20.0 / heading, 20.0 / 6.4), arc(50.0)).verdict == expected


@pytest.mark.parametrize(("radius", "expected"), [(450.0, MATCH), (460.0, MISMATCH)])
def test_over_a_long_path_a_bend_is_that_of_a_radius_of_455_metres(radius, expected):
    assert judge(RIGHT, arc(-radius, 15.0), arc(-50.0)).verdict == expected


@pytest.mark.parametrize(("heading", "expected"), [(0.11, MATCH), (0.09, MISMATCH)])
def test_a_bend_at_the_end_of_a_long_straight_counts_from_a_tenth_of_a_radian(heading, expected):
    late = bend(100.0, 128.0 - 100.0 * heading, 100.0, 20.0)

    assert judge(LEFT, late, arc(50.0)).verdict == expected


def test_an_s_curve_answers_to_its_first_and_to_its_largest_bend():
    s = s_curve(80.0, 16.0, 10.0, second=40.0)

    assert [judge(one, s, s).verdict for one in (LEFT, RIGHT)] == [MATCH, MATCH]


def test_a_small_correction_behind_a_bend_is_not_what_was_claimed():
    s = s_curve(60.0, 50.0, 10.0, second=6.0)

    assert judge(RIGHT, s, s).verdict == MISMATCH


def test_several_curves_are_judged_in_their_order():
    s = s_curve(80.0, 32.0)

    assert judge_claims([LEFT, RIGHT], s, s).verdict == MATCH
    assert judge_claims([RIGHT, LEFT], s, s).verdict == MISMATCH


def test_the_second_curve_is_not_asked_for_where_nobody_reaches_it():
    assert judge_claims([LEFT, RIGHT], arc(80.0), arc(80.0)).verdict == MATCH


def test_bending_once_on_a_road_that_bends_twice_is_a_mismatch():
    assert judge_claims([LEFT, RIGHT], arc(80.0), s_curve(80.0, 32.0)).verdict == MISMATCH


def test_driving_straight_through_an_s_curve_is_a_mismatch():
    assert judge_claims([LEFT, RIGHT], straight(), s_curve(80.0, 32.0)).verdict == MISMATCH


def test_an_s_curve_beyond_the_horizon_is_no_claim():
    assert judge_claims([LEFT, RIGHT], straight(), straight()).verdict == NO_CLAIM


def test_a_turn_is_judged_as_a_bend():
    corner = bend(10.0, 10.0, 10.0 * math.pi / 2, 5.0)

    assert verdict("Turn left at the intersection.", corner, corner) == MATCH
    assert verdict("交差点を右折する。", corner, corner) == MISMATCH


def test_straight_is_what_bends_to_neither_side():
    assert verdict("Continue straight.", straight(), straight()) == MATCH
    assert verdict("直進する。", arc(100.0), straight()) == MISMATCH


def test_keeping_the_lane_cannot_be_judged_without_a_map():
    assert verdict("Keep lane since the road is clear.", arc(100.0), arc(100.0)) == NO_CLAIM


@pytest.mark.parametrize(
    "text", ["Change lanes to the left.", "Nudge left to pass the cyclist.", "左車線へ車線変更する。"]
)
def test_lateral_words_match_an_offset_to_their_side_approximately(text):
    path = lane_change(3.5, 60.0, 12.0)

    assert judge_text(text, path, path).verdict == MATCH
    assert judge_text(text, mirrored(path), path).verdict == MISMATCH
    assert judge_text(text, path, path).approximate


@pytest.mark.parametrize(("offset", "expected"), [(0.3, MATCH), (0.1, MISMATCH)])
def test_a_nudge_is_two_tenths_of_a_metre(offset, expected):
    path = lane_change(offset, 50.0, 10.0)

    assert judge(claim("nudge", "left"), path, path).verdict == expected


@pytest.mark.parametrize(("offset", "expected"), [(1.7, MATCH), (1.3, MISMATCH)])
def test_a_lane_change_is_a_metre_and_a_half(offset, expected):
    path = lane_change(offset, 60.0, 12.0)

    assert judge(claim("lane_change", "left"), path, path).verdict == expected


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_bend_is_no_nudge_to_its_side(side):
    assert judge(claim("nudge", side), arc(90.0), arc(90.0)).verdict == NO_CLAIM


def test_following_an_s_shaped_road_is_no_nudge():
    s = s_curve(80.0, 32.0)

    assert judge(claim("nudge", "left"), s, s).verdict == NO_CLAIM


def test_a_curve_is_judged_exactly_and_not_approximately():
    assert not judge(LEFT, arc(80.0), arc(80.0)).approximate


def test_a_vehicle_that_stands_bends_to_no_side():
    assert judge(LEFT, np.zeros((64, 3)), arc(80.0)).verdict == MISMATCH


PATHS = st.builds(
    lambda radius, start, speed, both: s_curve(radius, start, speed) if both else bend(radius, start, 60.0, speed),
    st.floats(15, 600),
    st.floats(5, 60),
    st.floats(3, 22),
    st.booleans(),
)
SIDED = st.builds(claim, st.sampled_from(["curve", "turn", "nudge", "lane_change"]), st.sampled_from(["left", "right"]))


@given(SIDED, PATHS, PATHS)
def test_mirrored_words_and_paths_have_the_same_verdict(one, predicted, true):
    other = Claim(one.kind, one.direction.opposite, one.words)

    assert judge(one, predicted, true) == judge(other, mirrored(predicted), mirrored(true))


@given(st.lists(st.sampled_from([LEFT, RIGHT]), min_size=1, max_size=3), PATHS)
def test_mirrored_sequences_have_the_same_verdict(found, path):
    others = [RIGHT if one is LEFT else LEFT for one in found]

    assert judge_claims(found, path, path) == judge_claims(others, mirrored(path), mirrored(path))


@given(st.floats(20, 400), st.floats(4, 22))
def test_an_arc_never_matches_both_sides(radius, speed):
    path = driven(lambda s: np.full_like(s, 1 / radius), speed)

    assert judge(RIGHT, path, path).verdict in {MISMATCH, NO_CLAIM}
