"""Which manoeuvre a text says of the ego vehicle."""

import json
from collections import Counter
from pathlib import Path

import pytest

from touge.language.claim import ClaimKind
from touge.language.claims import claims, first_claim
from touge.language.swap import swap_directions
from touge.motion.labels import Direction

ROOT = Path(__file__).parents[3]
ROWS = [json.loads(line) for line in (ROOT / "tests/data/claims.jsonl").read_text(encoding="utf-8").splitlines()]


def said(text):
    return [(claim.kind.value, claim.direction.value) for claim in claims(text)]


def accuracy(language, part):
    chosen = [row for row in ROWS if (row["language"], row["part"]) == (language, part)]
    right = sum(said(row["text"]) == [tuple(claim) for claim in row["claims"]] for row in chosen)
    return right, len(chosen)


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("part", ["development", "held_out"])
def test_at_least_95_percent_of_the_labelled_texts_are_read_right(language, part):
    right, total = accuracy(language, part)

    assert right / total >= 0.95


def test_the_documented_accuracy_is_the_measured_one():
    document = (ROOT / "docs/parser-accuracy.md").read_text(encoding="utf-8")

    for language, part in Counter((row["language"], row["part"]) for row in ROWS):
        right, total = accuracy(language, part)
        assert (
            f"| {language} | {part.replace('_', ' ')} | {right} of {total} | {100 * right / total:.1f}% |" in document
        )


def test_no_text_is_labelled_twice():
    assert [text for text, count in Counter(row["text"] for row in ROWS).items() if count > 1] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["text"])
def test_the_swapped_text_claims_the_other_side(row):
    opposite = [(kind, Direction(side).opposite.value) for kind, side in said(row["text"])]

    assert said(swap_directions(row["text"])) == opposite


@pytest.mark.parametrize(
    "text",
    [
        "Slow down for the car on the right.",
        "Yield to the truck turning left.",
        "右側の駐車車両に注意する。",
        "対向車が右折するため停止する。",
        "左からの歩行者を待つ。",
    ],
)
def test_directions_of_others_are_no_claim(text):
    assert first_claim(text) is None


@pytest.mark.parametrize("text", ["We are not turning left.", "Stop without turning right.", "左折せずに待つ。"])
def test_what_is_denied_is_no_claim(text):
    assert first_claim(text) is None


@pytest.mark.parametrize(
    "text", ["Look left and right.", "Turn left or right.", "右左折時は徐行する。", "左右を確認する。"]
)
def test_neutral_words_are_no_claim(text):
    assert first_claim(text) is None


def test_an_s_curve_is_two_claims_in_their_order():
    assert said("Slow down for the S-curve, left then right.") == [("curve", "left"), ("curve", "right")]
    assert said("右から左へ切り返すS字カーブ。") == [("curve", "right"), ("curve", "left")]


def test_the_first_claim_is_the_first_of_all():
    assert first_claim("Take the left bend, then turn right.").direction is Direction.LEFT


def test_the_same_said_twice_is_one_claim():
    assert said("Slow for the left curve since the road bends left.") == [("curve", "left")]


def test_a_side_counts_before_straightness_and_that_before_lane_keeping():
    assert said("Go straight, then take the left curve.") == [("curve", "left")]
    assert said("Keep lane and continue straight.") == [("straight", "none")]


def test_full_width_and_spaced_text_is_read_as_if_it_were_plain():
    assert said("ＡＤＡＰＴ  speed for the ｌｅｆｔ\ncurve") == [("curve", "left")]
    assert said("前方の ｶｰﾌﾞ は 左 へ 続く") == [("curve", "left")]


def test_a_claim_keeps_the_words_that_say_it():
    claim = first_claim("Adapt speed for the sharp right curve ahead.")

    assert (claim.kind, claim.words) == (ClaimKind.CURVE, "right curve")


@pytest.mark.parametrize("text", ["", " ", "。", "left", "右", "!?"])
def test_text_without_a_manoeuvre_claims_nothing(text):
    assert claims(text) == ()
