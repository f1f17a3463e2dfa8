"""The swap test."""

import dataclasses

import numpy as np
import pytest

from touge.contract.prediction import Prediction
from touge.evaluation.comparison import compare
from touge.language.swap import swap_directions

from .paths import make_prediction
from .worlds import material


def mirrored(prediction: Prediction) -> Prediction:
    first = prediction.rollouts[0]
    path = np.array(first.trajectory) * (1.0, -1.0, -1.0)
    said = swap_directions(first.reasoning)
    rollout = first.model_copy(update={"trajectory": tuple(map(tuple, path)), "reasoning": said})
    return prediction.model_copy(update={"rollouts": (rollout,)})


def swap_of(change) -> dict:
    whole = material(drives=12)
    curves = [s for s in whole.samples if s.label.kind == "curve" and s.split == "test"]
    driven = {s.id: change(whole.predictions["tuned"][s.id]) for s in curves}
    return compare(dataclasses.replace(whole, swapped={"tuned": driven})).report.model_extra["swap"]["tuned"]


def test_a_trajectory_that_follows_the_swapped_words_is_caused_by_them():
    found = swap_of(mirrored)

    assert found["windows"] == 48
    assert found["shift_deg"]["value"] > 45.0
    assert found["jitter_deg"]["value"] < 10.0
    assert found["causal"] is True


def test_a_trajectory_that_stays_is_not():
    found = swap_of(lambda prediction: prediction)

    assert found["shift_deg"]["value"] == pytest.approx(0.0)
    assert found["causal"] is False


def test_a_model_that_names_no_side_is_not_tested():
    whole = material(drives=12)
    silent = {s.id: make_prediction(s, [np.array(s.future)], "Keep lane.") for s in whole.samples if s.split == "test"}
    both = {"base": silent, "tuned": silent}

    found = compare(dataclasses.replace(whole, predictions=both, swapped={"tuned": silent})).report

    assert found.model_extra["swap"]["tuned"]["windows"] == 0
