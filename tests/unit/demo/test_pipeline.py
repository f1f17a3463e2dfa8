"""Stages without a controller."""

import json

import pytest

from touge.contract.errors import CheckpointError, DataError
from touge.contract.recipe import Recipe
from touge.demo.pipeline import Pipeline
from touge.storage.local import LocalStore


def lines(context):
    """Work of a mapped stage: each shard says who it is."""
    context.execution.write("who.json", json.dumps([context.index, context.stage.shards]).encode())
    return {"shard": context.index}


def refuse(context):
    raise AssertionError("the stage was done before")


@pytest.fixture
def pipeline(tmp_path):
    for name in ("base/config.json", "drives/a.jsonl"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("{}")
    recipe = Recipe.model_validate(
        {
            "apiVersion": "touge/v1",
            "name": "test",
            "base": f"file://{tmp_path}/base",
            "curate": {"drives": [{"format": "jsonl", "uri": f"file://{tmp_path}/drives"}]},
            "train": {"method": "full"},
        }
    )
    return Pipeline.of(recipe, LocalStore(tmp_path / "store"), tmp_path / "scratch")


def test_a_stage_is_committed_and_not_done_again(pipeline):
    first = pipeline.run("curate-map", lines)

    assert json.loads(first.read("who.json")) == [0, 1]
    assert pipeline.run("curate-map", refuse).manifest == first.manifest


def test_every_shard_is_done(pipeline):
    stage = pipeline.plan.stage("curate-map").model_copy(update={"shards": 2})

    found = [pipeline.run_shard(stage, lines, index) for index in range(2)]

    assert [json.loads(shard.read("who.json")) for shard in found] == [[0, 2], [1, 2]]


def test_what_fails_is_not_committed(pipeline):
    def fail(context):
        raise DataError("nothing is there")

    with pytest.raises(DataError, match="nothing is there"):
        pipeline.run("curate-map", fail)
    assert [info.key for info in pipeline.store.list() if info.key.endswith("committed.json")] == []


def test_another_recipe_is_another_stage(pipeline, tmp_path):
    recipe = pipeline.plan.recipe.model_copy(
        update={"train": pipeline.plan.recipe.train.model_copy(update={"steps": 7})}
    )
    other = Pipeline.of(recipe, LocalStore(tmp_path / "store"), tmp_path / "scratch").plan

    assert [stage.id for stage in other.stages[:2]] == [stage.id for stage in pipeline.plan.stages[:2]]
    assert other.stage("train").id != pipeline.plan.stage("train").id


def test_a_stage_in_processes_of_its_own_fails_with_the_error_that_ended_it(pipeline):
    with pytest.raises(CheckpointError, match=r"config\.json"):
        pipeline.run_apart("train", "touge.training", gpu=False)
