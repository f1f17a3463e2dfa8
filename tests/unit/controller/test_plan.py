"""The planner: what is in an id and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_builders import CODES, make_recipe, make_resolved, plan_of

from controller.plan import make_plan
from touge.contract.plan import STAGE_NAMES, Plan
from touge.contract.recipe import Recipe
from touge.contract.sections import global_batch


def ids(plan: Plan) -> dict[str, str]:
    return {stage.name: stage.id for stage in plan.stages}


def changed(before: Plan, after: Plan) -> set[str]:
    return {name for name in STAGE_NAMES if ids(before)[name] != ids(after)[name]}


def with_field(recipe: Recipe, section: str, **fields) -> Recipe:
    return recipe.model_copy(update={section: getattr(recipe, section).model_copy(update=fields)})


def test_stages_come_in_the_order_that_data_flows():
    assert tuple(stage.name for stage in plan_of().stages) == STAGE_NAMES


def test_each_stage_takes_the_ids_of_the_stages_before_it():
    plan = plan_of()

    assert plan.stage("curate").inputs == {"map": ids(plan)["curate-map"]}
    assert plan.stage("evaluate").inputs == {
        "map": ids(plan)["evaluate-map"],
        "data": ids(plan)["curate"],
        "model": ids(plan)["train"],
    }


@given(
    name=st.from_regex(r"[a-z]{1,20}", fullmatch=True),
    shards=st.integers(1, 64),
    memory=st.sampled_from([None, "12GB", "80GB"]),
    hours=st.floats(0.1, 100),
)
def test_names_shards_memory_and_limits_change_no_stage_id(name, shards, memory, hours):
    recipe = make_recipe()
    other = with_field(recipe.model_copy(update={"name": name}), "curate", shards=shards)
    other = with_field(with_field(other, "resources", gpu_memory=memory), "limits", hours=hours)
    other = with_field(other, "evaluate", shards=shards)

    assert ids(plan_of(other)) == ids(plan_of(recipe))


@given(recompute=st.integers(0, 4), on_host=st.booleans())
def test_how_a_training_saves_memory_is_no_other_training(recompute, on_host):
    recipe = make_recipe()
    economy = recipe.train.economy.model_copy(update={"recompute": recompute, "on_host": on_host})

    assert ids(plan_of(with_field(recipe, "train", economy=economy))) == ids(plan_of(recipe))


@given(drives=st.from_regex(r"(file:///|s3://b/)[a-z/]{1,20}", fullmatch=True))
def test_the_same_content_at_another_address_is_the_same_stage(drives):
    moved = make_recipe(curate={"drives": [{"format": "jsonl", "uri": drives}]}, base="s3://models/base")

    assert ids(plan_of(moved)) == ids(plan_of())


@given(steps=st.integers(5, 10_000))
def test_a_change_of_training_reuses_the_curated_data(steps):
    recipe = make_recipe()

    assert changed(plan_of(recipe), plan_of(with_field(recipe, "train", steps=steps))) == {
        "train",
        "evaluate-map",
        "evaluate",
    }


def test_new_drive_content_changes_every_stage():
    recipe = make_recipe()
    after = make_plan(recipe, make_resolved(recipe, tag="new"), CODES)

    assert changed(plan_of(recipe), after) == set(STAGE_NAMES)


def test_another_base_curates_the_same_data():
    recipe = make_recipe()
    after = make_plan(recipe, make_resolved(recipe, base="another"), CODES)

    assert changed(plan_of(recipe), after) == {"train", "evaluate-map", "evaluate"}


def test_balance_and_split_reuse_the_curated_shards():
    recipe = make_recipe()
    other = with_field(recipe, "curate", balance=recipe.curate.balance.model_copy(update={"straight": 0.5}))

    assert "curate-map" not in changed(plan_of(recipe), plan_of(other))
    assert "curate" in changed(plan_of(recipe), plan_of(other))


@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_changed_code_changes_its_stage(stage):
    recipe = make_recipe()
    after = make_plan(recipe, make_resolved(recipe), CODES | {stage: "new code"})

    assert stage in changed(plan_of(recipe), after)


def test_more_processes_are_another_global_batch():
    recipe = with_field(make_recipe(), "resources", gpus=4, nodes=2)

    assert global_batch(recipe) == 8
    assert "train" in changed(plan_of(make_recipe()), plan_of(recipe))


def test_no_address_is_hashed():
    assert "file://" not in str([stage.section for stage in plan_of().stages])


def test_a_run_nonce_makes_another_run_of_the_same_stages():
    recipe = make_recipe()
    again = make_plan(recipe, make_resolved(recipe), CODES, run_nonce="x")

    assert again.run != plan_of(recipe).run
    assert ids(again) == ids(plan_of(recipe))


def test_a_stage_nonce_makes_every_stage_anew():
    recipe = make_recipe()
    again = make_plan(recipe, make_resolved(recipe), CODES, stage_nonce="x")

    assert changed(plan_of(recipe), again) == set(STAGE_NAMES)


def test_a_plan_survives_being_written_and_read():
    plan = plan_of()

    assert Plan.read_json(plan.to_json()) == plan
