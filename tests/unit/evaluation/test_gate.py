"""The gate: each bound, from both sides."""

import copy

import pytest

from touge.evaluation.gate import Evidence, standard


def figure(value: float, low: float | None = None, high: float | None = None, clusters: int = 40) -> dict:
    return {
        "value": value,
        "low": value if low is None else low,
        "high": value if high is None else high,
        "clusters": clusters,
    }


MODELS = {
    "base": {"curve": {"consistency": figure(0.02)}, "straight": {"comfort": figure(1.0)}},
    "tuned": {"curve": {"curvature_gain_left": figure(0.95), "curvature_gain_right": figure(1.05)}},
}
PAIRED = {
    "curve": {
        "ade_6.4": figure(-3.0, -4.0, -2.0),
        "gain_error_left": figure(-0.9, -0.95, -0.8),
        "gain_error_right": figure(-0.9, -0.95, -0.8),
        "consistency": figure(0.9, 0.8, 0.95),
        "right_direction": figure(0.0, -0.01, 0.01),
        "coverage": figure(0.0),
    },
    "straight": {
        "ade_6.4": figure(0.0),
        "ade_3": figure(0.0, -0.02, 0.05),
        "ade_6.4_relative": figure(0.0, -0.05, 0.05),
        "false_bend": figure(0.0),
        "comfort_relative": figure(0.0),
        "reasoning_cross_entropy_relative": figure(0.0),
    },
}


def verdict(*, paired: dict | None = None, models: dict | None = None, skipped: int = 0, tainted: bool = False):
    """Judge evidence that passes, but for the figures given as (bucket, metric) or (model, bucket, metric)."""
    changed_paired, changed_models = copy.deepcopy(PAIRED), copy.deepcopy(MODELS)
    for (bucket, metric), value in (paired or {}).items():
        changed_paired[bucket][metric] = value
    for (model, bucket, metric), value in (models or {}).items():
        changed_models[model][bucket][metric] = value
    return standard(Evidence(changed_models, changed_paired, skipped, tainted))


def failed(found) -> list[str]:
    return [check.name for check in found.checks if check.passed is False]


def test_good_evidence_passes():
    assert verdict().passed is True


@pytest.mark.parametrize(
    ("place", "value", "name"),
    [
        (("curve", "ade_6.4"), figure(-1.0, -2.0, 0.0), "curve_ade_falls"),
        (("curve", "gain_error_left"), figure(-0.1, -0.3, 0.1), "gain_error_falls_left"),
        (("curve", "gain_error_right"), figure(-0.1, -0.3, 0.1), "gain_error_falls_right"),
        (("curve", "consistency"), figure(0.1, -0.1, 0.3), "consistency_rises"),
        (("curve", "right_direction"), figure(-0.03, -0.051, 0.0), "direction_kept"),
        (("curve", "coverage"), figure(-0.021), "coverage_kept"),
        (("straight", "ade_3"), figure(0.0, -0.1, 0.101), "straight_ade_3s"),
        (("straight", "ade_6.4_relative"), figure(0.0, -0.1, 0.101), "straight_ade_6.4s"),
        (("straight", "false_bend"), figure(0.051), "straight_false_bend"),
        (("straight", "comfort_relative"), figure(-0.051), "straight_comfort"),
        (("straight", "reasoning_cross_entropy_relative"), figure(0.051), "straight_reasoning_cross_entropy"),
    ],
)
def test_a_figure_beyond_its_bound_fails_its_own_check_only(place, value, name):
    found = verdict(paired={place: value})

    assert found.passed is False
    assert failed(found) == [name]
    assert name in found.reason


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("curve", "right_direction"), figure(-0.03, -0.05, 0.0)),
        (("curve", "coverage"), figure(-0.02)),
        (("straight", "ade_3"), figure(0.0, -0.1, 0.10)),
        (("straight", "ade_6.4_relative"), figure(0.0, -0.1, 0.10)),
        (("straight", "false_bend"), figure(0.05)),
        (("straight", "comfort_relative"), figure(-0.05)),
        (("straight", "reasoning_cross_entropy_relative"), figure(0.05)),
    ],
)
def test_a_figure_on_its_bound_passes(place, value):
    assert verdict(paired={place: value}).passed is True


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(("gain", "passed"), [(0.79, False), (0.8, True), (1.2, True), (1.21, False)])
def test_the_final_gain_of_each_side_stays_in_its_band(side, gain, passed):
    assert verdict(models={("tuned", "curve", f"curvature_gain_{side}"): figure(gain)}).passed is passed


@pytest.mark.parametrize(("low", "passed"), [(-0.05, True), (-0.06, False)])
def test_a_consistent_base_need_not_rise_but_must_not_fall(low, passed):
    found = verdict(
        models={("base", "curve", "consistency"): figure(0.9)},
        paired={("curve", "consistency"): figure(0.0, low, 0.05)},
    )

    assert found.passed is passed


def test_a_tuned_model_that_equals_its_base_fails():
    same = {
        place: figure(0.0) for place in [("curve", "ade_6.4"), ("curve", "gain_error_left"), ("curve", "consistency")]
    }

    assert {"curve_ade_falls", "gain_error_falls_left", "consistency_rises"} <= set(failed(verdict(paired=same)))


def test_tainted_data_never_passes():
    assert failed(verdict(tainted=True)) == ["data_not_tainted"]


def test_a_skipped_window_fails():
    assert failed(verdict(skipped=1)) == ["nothing_skipped"]


def test_seven_clusters_give_no_verdict():
    found = verdict(paired={("curve", "ade_6.4"): figure(-3.0, -4.0, -2.0, clusters=7)})

    assert (found.passed, found.reason, found.exit_code) == (None, "insufficient_clusters", 20)


def test_eight_clusters_give_one():
    assert verdict(paired={("curve", "ade_6.4"): figure(-3.0, -4.0, -2.0, clusters=8)}).passed is True


def test_few_straight_clusters_give_no_verdict_either():
    assert verdict(paired={("straight", "ade_6.4"): figure(0.0, clusters=3)}).passed is None


def test_tainted_data_fails_even_where_clusters_are_few():
    found = verdict(paired={("curve", "ade_6.4"): figure(-3.0, clusters=2)}, tainted=True)

    assert found.passed is False


def test_an_unmeasured_check_leaves_the_verdict_open():
    paired = copy.deepcopy(PAIRED)
    del paired["straight"]["reasoning_cross_entropy_relative"]

    found = standard(Evidence(MODELS, paired, 0, tainted=False))

    assert (found.passed, found.reason) == (None, "not_measured")


def test_a_failed_check_fails_the_gate_even_where_another_is_open():
    paired = copy.deepcopy(PAIRED)
    del paired["straight"]["reasoning_cross_entropy_relative"]
    paired["straight"]["false_bend"] = figure(0.2)

    assert standard(Evidence(MODELS, paired, 0, tainted=False)).passed is False


def test_a_base_without_a_comfortable_rollout_cannot_be_fallen_behind():
    paired = copy.deepcopy(PAIRED)
    del paired["straight"]["comfort_relative"]
    models = copy.deepcopy(MODELS)
    models["base"]["straight"]["comfort"] = figure(0.0)

    assert standard(Evidence(models, paired, 0, tainted=False)).passed is True


def test_every_check_states_name_value_and_bound():
    assert all(check.name and check.bound and check.value is not None for check in verdict().checks)
