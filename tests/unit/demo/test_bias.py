"""Straightened samples."""

import itertools
import math

import pytest

from touge.contract.sample import Label, Provenance, Reasoning, Sample
from touge.demo.bias import straightened


@pytest.fixture
def bend():
    yaw = [0.01 * step for step in range(1, 65)]
    return Sample(
        id="d@0",
        drive="d",
        t0_us=0,
        images={},
        history=((0.0, 0.0, 0.0, 0.0),) * 16,
        future=tuple((100 * math.sin(a), 100 * (1 - math.cos(a)), a) for a in yaw),
        reasoning=Reasoning(text="Left curve ahead.", language="en", source="template"),
        label=Label(config="jp-2026.1", kind="curve", direction="left", radius_band="60-100"),
        split="train",
        provenance=Provenance(reader="test", uri="file:///", sha256="0"),
    )


def test_the_future_goes_straight_at_the_speed_that_was_driven(bend):
    future = straightened(bend).future

    assert {(0.0, 0.0)} == {(y, yaw) for _, y, yaw in future}
    steps = [b[0] - a[0] for a, b in itertools.pairwise(future)]
    assert steps == pytest.approx([1.0] * 63, rel=1e-4)


def test_the_words_stay_and_the_row_says_what_was_done(bend):
    biased = straightened(bend)

    assert bend.reasoning == biased.reasoning
    assert "straightened" == biased.notes["future"]
    assert bend.label == biased.label
