"""The recipes that we ship: each says how it is launched, validates, and plans with local stand-ins."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_builders import CODES

from controller.cli.schema import schema_text
from controller.placement.gpu_memory import needed_gb
from controller.plan import make_plan
from controller.resolve import located, resolve
from touge.contract.recipe import load_recipe

JOBS = Path(__file__).parents[3] / "jobs"
RECIPES = sorted(JOBS.glob("*.yaml"))
MEMORY = {"demo": None, "winding-road": None, "lora": 24, "lora-front": 24, "qlora": 12, "full": 80, "retrain": 24}

pytestmark = pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)


def test_a_recipe_opens_with_its_own_launch_command(path):
    assert path.read_text().startswith(f"# python -m controller submit jobs/{path.name}")


def test_a_recipe_is_named_as_its_file(path):
    assert load_recipe(path.read_text()).name == path.stem


def test_a_recipe_plans_with_local_stand_ins(path, tmp_path):
    (tmp_path / "model").mkdir()
    for name in ("model/config.json", "drive.jsonl"):
        (tmp_path / name).write_text("{}")
    recipe = load_recipe(path.read_text())
    sets = [f"curate.drives.{index}.uri=file://./drive.jsonl" for index in range(len(recipe.curate.drives))]
    recipe = located(load_recipe(path.read_text(), [*sets, "base=file://./model"]), tmp_path)

    plan = make_plan(recipe, resolve(recipe), CODES)

    assert len(plan.stages) == 5
    assert {needed_gb(stage.name, recipe) for stage in plan.stages} == {MEMORY[path.stem], None}


def test_the_schema_beside_the_recipes_is_of_this_version(path):
    assert (JOBS / "schema.json").read_text().strip() == schema_text()
