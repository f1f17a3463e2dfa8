"""Sentences that say a manoeuvre."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from roads import arc, bend, driven, lane_change, mirrored, s_curve, straight

from touge.contract.sample import Label
from touge.language.claims import claims
from touge.language.consistency import Verdict, judge_text
from touge.language.sentences import LANGUAGES, choices, pace, sentence
from touge.language.vocabulary import Pace
from touge.motion.features import features
from touge.motion.jp_2026_1 import Jp20261
from touge.motion.labels import Direction

FUTURES = {
    "curve": bend(-80.0, 22.0, 40.0, 12.0),
    "curve at once": arc(200.0, 14.0),
    "hairpin": bend(-13.0, 15.0, 60.0, 8.5),
    "s-curve": s_curve(80.0, 32.0, 10.0),
    "turn": bend(12.0, 10.0, 19.0, 6.0),
    "lane change": lane_change(-3.5, 60.0, 12.0),
    "straight": straight(),
}
SILENT = {"stop": np.zeros((64, 3)), "creep": straight(1.2), "ambiguous": arc(800.0, 12.0)}


def spoken(future, language):
    """All sentences of a window."""
    label, found = Jp20261().label(future), features(future)
    count = choices(label, found, language=language)
    return [sentence(label, found, language=language, choice=choice) for choice in range(count)]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("future", FUTURES.values(), ids=FUTURES.keys())
def test_every_sentence_matches_the_window_that_it_was_made_for(future, language):
    assert {judge_text(text, future, future).verdict for text in spoken(future, language)} == {Verdict.MATCH}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("future", FUTURES.values(), ids=FUTURES.keys())
def test_every_sentence_claims_the_direction_of_the_label(future, language):
    wanted = Jp20261().label(future).direction

    assert {claims(text)[0].direction for text in spoken(future, language)} == {wanted}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("future", SILENT.values(), ids=SILENT.keys())
def test_a_window_without_a_side_is_spoken_of_without_one(future, language):
    texts = spoken(future, language)

    assert not [text for text in texts if any(claim.direction is not Direction.NONE for claim in claims(text))]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("future", (FUTURES | SILENT).values(), ids=(FUTURES | SILENT).keys())
def test_there_are_at_least_eight_different_sentences(future, language):
    assert len(set(spoken(future, language))) >= 8


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_slot_stays_open(language):
    texts = [text for future in (FUTURES | SILENT).values() for text in spoken(future, language)]

    assert not [text for text in texts if "{" in text or "  " in text]


@pytest.mark.parametrize(
    ("speed", "expected"),
    [
        (lambda t: 12.0 - t, Pace.SLOWER),
        (lambda t: np.full_like(t, 12.0), Pace.SAME),
        (lambda t: 12.0 + t / 2, Pace.FASTER),
        (lambda t: 12.0 - 4 * np.sin(np.pi * t / 6.4), Pace.SLOWER),
    ],
)
def test_the_pace_is_read_off_the_speed(speed, expected):
    assert pace(features(driven(np.zeros_like, speed))) == expected


def test_a_sentence_names_side_tightness_distance_and_angle():
    future = bend(-80.0, 22.0, 40.0, 12.0)
    text = sentence(Jp20261().label(future), features(future), language="en", choice=0)

    assert text == "Right curve in about 20 m, sharp, about 30 degrees: hold the speed."


def test_a_japanese_sentence_does_too():
    future = driven(lambda s: np.where(s > 30, 1 / 50, 0.0), lambda t: 14 - t)
    text = sentence(Jp20261().label(future), features(future), language="ja", choice=0)

    assert text == "約30m先から左に約45度曲がるきついカーブなので、減速する。"


def test_a_curve_of_another_definition_has_a_sentence_too():
    future = arc(700.0, 14.0)
    label = Label(config="vad-command", kind="curve", direction="left", radius_band="none")

    assert "left" in sentence(label, features(future), language="en", choice=4)


@pytest.mark.parametrize("language", LANGUAGES)
@given(choice=st.integers(-(10**9), 10**18))
def test_any_integer_is_a_choice(language, choice):
    future = FUTURES["curve"]

    assert sentence(Jp20261().label(future), features(future), language=language, choice=choice) in spoken(
        future, language
    )


@pytest.mark.parametrize("language", LANGUAGES)
@given(radius=st.floats(16, 440), start=st.floats(0, 30), speed=st.floats(5, 18), choice=st.integers(0, 99))
def test_no_sentence_contradicts_its_window(language, radius, start, speed, choice):
    future = mirrored(bend(radius, start, 50.0, speed))
    text = sentence(Jp20261().label(future), features(future), language=language, choice=choice)

    assert judge_text(text, future, future).verdict != Verdict.MISMATCH
