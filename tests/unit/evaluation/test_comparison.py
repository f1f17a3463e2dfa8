"""Samples and predictions to a report."""

import json

import numpy as np
import pytest

from touge.contract.errors import DataError
from touge.contract.report import Report
from touge.evaluation.comparison import compare

from .worlds import driven, material, samples

HORIZONS = {"1", "3", "5", "6.4"}


@pytest.fixture(scope="module")
def good() -> Report:
    return compare(material()).report


def failed(report: Report) -> set[str]:
    return {check.name for check in report.verdict.checks if check.passed is False}


def test_a_tuning_that_removes_the_bias_passes(good):
    assert good.verdict.passed is True


def test_a_report_reads_back_equal_from_its_json(good):
    assert Report.read_json(good.to_json()) == good


def test_the_figures_are_those_of_the_models_that_were_built(good):
    curve = {model: good.models[model]["curve"] for model in ("base", "tuned")}

    assert curve["base"]["curvature_gain"]["value"] == pytest.approx(0.03, abs=0.02)
    assert curve["tuned"]["curvature_gain"]["value"] == pytest.approx(0.97, abs=0.02)
    assert curve["base"]["consistency"]["value"] < 0.05
    assert curve["tuned"]["consistency"]["value"] > 0.95
    assert curve["tuned"]["right_direction"]["value"] == 1.0


def test_the_stable_keys_are_there(good):
    for model in good.models.values():
        assert {"curve", "straight", "all"} <= model.keys()
        for metric in ("ade", "ade_sample0", "ade_medoid", "min_ade_6", "fde"):
            assert model["curve"][metric].keys() == HORIZONS
    assert {"value", "low", "high", "clusters"} <= good.paired["curve"]["ade"].keys()
    assert good.paired["curve"]["ade"] == good.paired["curve"]["ade_6.4"]


def test_every_baseline_stands_beside_the_models(good):
    baselines = {"constant_velocity", "constant_turn_rate", "straight_at_true_speed", "ego_mlp"}

    assert good.models.keys() == {"base", "tuned"} | baselines


def test_windows_are_counted_by_bucket(good):
    assert good.windows == {
        "all": 144,
        "curve": 96,
        "curve_left": 48,
        "curve_right": 48,
        "straight": 48,
        "skipped": 0,
        "between_blocks": 0,
    }


def test_values_lie_within_their_intervals(good):
    for bucket in good.paired.values():
        for figure in bucket.values():
            assert figure["low"] <= figure["value"] + 1e-9
            assert figure["value"] <= figure["high"] + 1e-9


def test_the_matrix_has_a_cell_for_each_direction_and_radius(good):
    cells = {(cell["direction"], cell["radius_band"]): cell["windows"] for cell in good.model_extra["matrix"]}

    assert cells == {("left", "100-150"): 24, ("left", "30-60"): 24, ("right", "30-60"): 24, ("right", "60-100"): 24}


def test_an_adapter_that_was_not_trained_fails_where_it_should():
    found = compare(material(tuned=0.03)).report

    assert found.verdict.exit_code == 20
    assert {"gain_left", "gain_right", "consistency_rises"} <= failed(found)


def test_windows_of_the_training_split_are_never_scored():
    rows = samples(24, "train")

    with pytest.raises(DataError, match="no test window"):
        compare(material(samples=tuple(rows)))


def test_a_window_without_a_prediction_is_skipped_counted_and_fails_the_gate():
    whole = material()
    missing = whole.samples[0].id
    short = {name: {k: v for k, v in rows.items() if k != missing} for name, rows in whole.predictions.items()}

    found = compare(material(predictions=short)).report

    assert found.windows["skipped"] == 1
    assert found.model_extra["skipped"] == [missing]
    assert failed(found) == {"nothing_skipped"}


def test_predictions_of_other_windows_are_refused():
    with pytest.raises(DataError, match="none of 144 test windows"):
        compare(material(predictions={"base": {}, "tuned": {}}))


def test_predictions_without_likelihoods_leave_the_verdict_open():
    found = compare(material(likelihoods={})).report

    assert (found.verdict.passed, found.verdict.reason) == (None, "not_measured")


def test_tainted_data_fails():
    assert failed(compare(material(tainted=True)).report) == {"data_not_tainted"}


def test_few_drives_give_no_verdict():
    found = compare(material(drives=7)).report

    assert (found.verdict.passed, found.verdict.reason) == (None, "insufficient_clusters")


def test_one_drive_is_judged_by_blocks_and_says_so():
    found = compare(material(drives=1)).report

    assert found.model_extra["clusters"]["kind"] == "block_60s"
    assert found.verdict.passed is None


def test_a_model_on_show_is_scored_and_not_judged():
    whole = material()
    test = [sample for sample in whole.samples if sample.split == "test"]
    shown = {**whole.predictions, "tuned_nf4": driven(test, 0.5, seed=3)}

    found = compare(material(predictions=shown)).report

    assert found.models["tuned_nf4"]["curve"]["curvature_gain"]["value"] == pytest.approx(0.5, abs=0.02)
    assert found.verdict.passed is True


def test_a_report_holds_no_number_that_json_does_not_know(good):
    json.loads(good.to_json(), parse_constant=lambda name: pytest.fail(f"{name} in the report"))


def test_the_same_material_gives_the_same_report(good):
    assert compare(material()).report == good


def test_mirrored_roads_give_mirrored_figures(good):
    left, right = (good.models["tuned"]["curve"][f"curvature_gain_{side}"]["value"] for side in ("left", "right"))

    assert np.isclose(left, right, atol=0.03)
