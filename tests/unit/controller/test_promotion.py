"""Promotion: only a passed gate, never tainted data, versions once, the pointer by conditional write."""

from __future__ import annotations

import json

import pytest
from run_builders import make_recipe, plan_of

from controller.promotion import PromotionRefused, current, promote
from touge.contract.artifacts import StageRef, model_current_key, model_version_key
from touge.contract.errors import Conflict, DataError
from touge.storage import open_store
from touge.storage.execution import Execution


@pytest.fixture
def store(tmp_path):
    return open_store(f"file://{tmp_path}/store")


def report(*, passed):
    checks = [{"name": "curve_ade", "passed": passed, "value": 1.0, "bound": "< 0"}]
    verdict = {"passed": passed, "checks": checks, "reason": None if passed is not None else "insufficient_clusters"}
    return {
        "schema": "touge.report/1",
        "run": "r",
        "verdict": verdict,
        **{name: {} for name in ("windows", "models", "paired", "provenance")},
    }


def finished(store, plan, *, passed=True, tainted=False):
    for name in ("curate", "train", "evaluate"):
        execution = Execution(store, StageRef(plan.stage(name).id), f"{plan.run}-1-u", lambda: 1)
        execution.write("report.json", json.dumps(report(passed=passed)).encode())
        execution.commit({"tainted": tainted})
    return plan


def test_a_passed_gate_makes_the_model_current(store):
    plan = finished(store, plan_of())

    version = promote(plan, store, "staging", 5)

    assert current(store, "staging") == version
    assert version.artifact == f"stages/{plan.stage('train').id}/executions/{plan.run}-1-u/"


@pytest.mark.parametrize(("passed", "why"), [(False, "curve_ade"), (None, "insufficient_clusters")])
def test_anything_but_a_passed_gate_is_refused(store, passed, why):
    plan = finished(store, plan_of(), passed=passed)

    with pytest.raises(PromotionRefused, match=why):
        promote(plan, store, "staging", 5)

    assert current(store, "staging") is None


def test_data_marked_as_tainted_is_refused(store):
    with pytest.raises(PromotionRefused, match="tainted"):
        promote(finished(store, plan_of(), tainted=True), store, "staging", 5)


def test_a_recipe_that_keeps_contradictions_is_refused(store):
    curate = {"drives": [{"format": "jsonl", "uri": "file:///d"}], "contradictions": "keep"}

    with pytest.raises(PromotionRefused, match="tainted"):
        promote(finished(store, plan_of(make_recipe(curate=curate))), store, "staging", 5)


def test_a_run_that_is_not_finished_is_refused(store):
    with pytest.raises(DataError, match="not committed"):
        promote(plan_of(), store, "staging", 5)


def test_promoting_twice_is_once(store):
    plan = finished(store, plan_of())
    promote(plan, store, "staging", 5)
    before = store.get(model_current_key("staging"))

    promote(plan, store, "staging", 6)

    assert store.get(model_current_key("staging")) == before


def test_the_pointer_remembers_what_was_current_before(store):
    first, second = (finished(store, plan_of(train={"method": "lora", "steps": n})) for n in (1, 2))
    promote(first, store, "staging", 5)
    promote(second, store, "staging", 6)

    pointer = json.loads(store.get(model_current_key("staging")))

    assert (pointer["version"], pointer["previous"]) == (second.stage("train").id, first.stage("train").id)


def test_a_version_is_never_overwritten(store):
    plan = finished(store, plan_of())
    version = promote(plan, store, "staging", 5)
    other = version.model_copy(update={"artifact": "stages/other/"})
    store.put(model_version_key("staging", version.version), other.to_json().encode())

    with pytest.raises(Conflict, match="never overwritten"):
        promote(plan, store, "staging", 6)
