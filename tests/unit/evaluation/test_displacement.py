"""Displacement errors of K rollouts."""

import numpy as np
import pytest

from touge.evaluation.displacement import displacement, medoid

from .paths import arc

STRAIGHT = arc(np.inf)


def beside(metres: float) -> np.ndarray:
    return STRAIGHT + np.array([0.0, metres, 0.0])


def test_a_perfect_prediction_has_no_error():
    errors = displacement(np.stack([STRAIGHT, STRAIGHT]), STRAIGHT)

    assert set(errors.values()) == {0.0}


def test_ade_is_the_mean_of_all_rollouts_and_min_ade_6_the_best():
    errors = displacement(np.stack([beside(3.0), beside(1.0), beside(2.0)]), STRAIGHT)

    assert errors["ade@6.4"] == pytest.approx(2.0)
    assert errors["ade_sample0@6.4"] == pytest.approx(3.0)
    assert errors["ade_medoid@6.4"] == pytest.approx(2.0)
    assert errors["min_ade_6@6.4"] == pytest.approx(1.0)


def test_fde_is_the_distance_at_the_horizon():
    slower = arc(np.inf, speed=9.0)

    errors = displacement(slower[None], STRAIGHT)

    assert [errors[f"fde@{h}"] for h in ("1", "3", "5", "6.4")] == pytest.approx([1.0, 3.0, 5.0, 6.4])


def test_the_best_of_six_does_not_look_at_a_seventh():
    rollouts = np.stack([*[beside(5.0)] * 6, STRAIGHT])

    assert displacement(rollouts, STRAIGHT)["min_ade_6@6.4"] == pytest.approx(5.0)


def test_the_best_rollout_is_chosen_over_the_whole_horizon():
    good_start = STRAIGHT.copy()
    good_start[20:, 1] += 10.0

    errors = displacement(np.stack([good_start, beside(1.0)]), STRAIGHT)

    assert errors["min_ade_6@1"] == pytest.approx(1.0)


def test_the_medoid_is_the_rollout_in_the_middle():
    assert medoid(np.stack([beside(0.0), beside(9.0), beside(1.0)])) == 2
