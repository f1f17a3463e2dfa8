"""Whose words a window gets, and whether they fit what is driven."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from roads import arc, bend, driven, lane_change, mirrored, s_curve, straight

from touge.contract.sample import FUTURE_STEPS, HISTORY_STEPS, Provenance, Reasoning, Sample
from touge.curation.reasoning import Words, contradiction, event_near, with_reasoning
from touge.curation.samples import stored_features
from touge.drives.drive import ReasoningEvent
from touge.language.consistency import Verdict, judge_text
from touge.motion.definitions import definition

LABELS = definition("jp-2026.1")
WORDS = Words("base", "en", 0)
FUTURES = {
    "curve": bend(-80.0, 22.0, 40.0, 12.0),
    "hairpin": bend(-13.0, 15.0, 60.0, 8.5),
    "s-curve": s_curve(80.0, 32.0, 10.0),
    "turn": bend(12.0, 10.0, 19.0, 6.0),
    "lane change": lane_change(-3.5, 60.0, 12.0),
}


def sample(future: np.ndarray, t0_us: int = 2_000_000, reasoning: Reasoning | None = None) -> Sample:
    return Sample(
        id=f"drive@{t0_us}",
        drive="drive",
        t0_us=t0_us,
        images={},
        history=np.zeros((HISTORY_STEPS, 4)).tolist(),
        future=future.tolist(),
        reasoning=reasoning,
        features=stored_features(future),
        label=LABELS.label(future),
        split="train",
        provenance=Provenance(reader="test", uri="file:///test", sha256="0"),
    )


def said(text: str, language: str = "en") -> Reasoning:
    return Reasoning(text=text, language=language, source="dataset")


def verdict(one: Sample) -> str | None:
    return contradiction(one.reasoning, one.label, np.array(one.future))


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("future", FUTURES.values(), ids=FUTURES.keys())
@pytest.mark.parametrize("side", [lambda path: path, mirrored], ids=["as it is", "mirrored"])
def test_templates_say_what_is_driven(future, side, language):
    path = side(future)
    for t0_us in range(0, 4_000_000, 100_000):
        one = with_reasoning(sample(path, t0_us), None, Words("base", language, 0))

        assert (one.reasoning.language, one.reasoning.source) == (language, "template")
        assert judge_text(one.reasoning.text, path, path).verdict is Verdict.MATCH
        assert verdict(one) is None


@pytest.mark.parametrize("language", ["en", "ja"])
@given(radius=st.floats(15.0, 1500.0), speed=st.floats(2.0, 20.0), left=st.booleans(), t0_us=st.integers(0, 10**9))
def test_no_template_ever_contradicts_its_window(language, radius, speed, left, t0_us):
    path = arc(radius if left else -radius, speed)
    one = with_reasoning(sample(path, t0_us), None, Words("template", language, 0))

    assert one.reasoning is not None
    assert verdict(one) is None


def test_words_of_the_data_set_come_first():
    one = with_reasoning(sample(arc(100.0)), ReasoningEvent(2_000_000, "Follow the left curve.", "en"), WORDS)

    assert one.reasoning == Reasoning(text="Follow the left curve.", language="en", source="dataset")


def test_words_that_a_row_has_already_are_kept():
    one = with_reasoning(sample(arc(100.0), reasoning=said("左カーブ", "ja")), ReasoningEvent(2_000_000, "x"), WORDS)

    assert one.reasoning == said("左カーブ", "ja")


@pytest.mark.parametrize("future", [straight(), np.zeros((FUTURE_STEPS, 3)), arc(800.0, 12.0)])
def test_windows_without_a_manoeuvre_are_left_to_the_base_model(future):
    assert with_reasoning(sample(future), None, WORDS).reasoning is None


def test_windows_without_a_manoeuvre_get_a_template_where_the_recipe_says_so():
    assert with_reasoning(sample(straight()), None, Words("template", "en", 0)).reasoning.source == "template"


def test_phrasings_vary_with_the_window_and_with_the_seed():
    by_window = {with_reasoning(sample(arc(100.0), t0_us), None, WORDS).reasoning.text for t0_us in range(40)}
    by_seed = {with_reasoning(sample(arc(100.0)), None, Words("base", "en", seed)).reasoning.text for seed in range(40)}

    assert len(by_window) > 10
    assert len(by_seed) > 10


@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_recipe_may_ask_for_fewer_phrasings(language):
    words = Words("base", language, 0, phrasings=2)

    assert len({with_reasoning(sample(arc(100.0), t0_us), None, words).reasoning.text for t0_us in range(40)}) == 2


def test_the_same_window_is_always_told_in_the_same_words():
    assert with_reasoning(sample(arc(100.0)), None, WORDS) == with_reasoning(sample(arc(100.0)), None, WORDS)


@pytest.mark.parametrize(
    ("times", "expected"),
    [((), None), ((1_499_999,), None), ((1_500_000,), 1_500_000), ((1_600_000, 2_300_000, 2_600_000), 2_300_000)],
)
def test_an_event_speaks_for_the_half_second_around_it(times, expected):
    found = event_near([ReasoningEvent(time, "x") for time in times], 2_000_000)

    assert (found.t_us if found else None) == expected


@pytest.mark.parametrize(
    ("text", "future", "expected"),
    [
        ("Follow the left curve ahead.", arc(100.0), None),
        ("Follow the right curve ahead.", arc(100.0), "says 'right curve', drives curve to the left"),
        ("この先の右カーブに沿って減速する。", arc(100.0), "says '右カーブ', drives curve to the left"),
        ("この先の左カーブに沿って減速する。", arc(100.0), None),
        ("Continue straight.", arc(100.0), "', drives curve to the left"),
        ("Turn left at the junction.", straight(), "', drives straight"),
        ("Slow down for the right curve ahead.", straight(), "says 'right curve', drives straight"),
        ("Slow down for the car on the right.", arc(100.0), None),
        ("Keep the lane.", arc(100.0), None),
        ("A left curve, then a right curve.", s_curve(80.0, 32.0, 10.0), None),
        ("A right curve, then a left curve.", s_curve(80.0, 32.0, 10.0), "drives s_curve to the left"),
    ],
)
def test_words_are_held_against_the_recorded_future(text, future, expected):
    found = verdict(sample(future, reasoning=said(text)))

    assert found == expected if expected is None else expected in found


def test_a_bend_beyond_a_future_that_begins_to_turn_is_left_alone():
    begins = driven(lambda s: np.where(s > 40.0, 1 / 400.0, 0.0))

    assert sample(begins).label.kind != "straight"
    assert verdict(sample(begins, reasoning=said("Slow down for the left curve ahead."))) is None


def test_a_window_without_words_contradicts_nothing():
    assert verdict(sample(arc(100.0))) is None
