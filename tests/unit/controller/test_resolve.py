"""Names to content: relative addresses, and all problems at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_builders import CODES, make_recipe

from controller.plan import make_plan
from controller.resolve import absolute, located, resolve
from touge.contract.errors import DataError

COMMIT = "22fab1399111f50b52bfbe5d8b809f39bd4c2fe1"


def recipe_in(folder: Path, **changes):
    (folder / "base").mkdir(parents=True)
    (folder / "base/config.json").write_text("{}")
    (folder / "drives").mkdir()
    (folder / "drives/a.jsonl").write_text("{}\n")
    document = {"base": "file://./base", "curate": {"drives": [{"format": "jsonl", "uri": "file://drives"}]}}
    return located(make_recipe(**(document | changes)), folder)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("file://./a/b", "file:///w/a/b"),
        ("file://a", "file:///w/a"),
        ("file://../a", "file:///a"),
        ("file:///abs", "file:///abs"),
        ("s3://bucket/a", "s3://bucket/a"),
    ],
)
def test_relative_addresses_start_at_the_current_folder(given, expected):
    assert absolute(given, Path("/w")) == expected


def test_equal_content_in_two_folders_makes_equal_plans_but_for_the_addresses(tmp_path):
    plans = []
    for name in ("one", "two"):
        recipe = recipe_in(tmp_path / name)
        plans.append(make_plan(recipe, resolve(recipe), CODES))

    assert plans[0].run == plans[1].run
    assert plans[0].recipe.base != plans[1].recipe.base


def test_a_hub_model_pinned_to_a_commit_needs_no_network(tmp_path):
    recipe = recipe_in(tmp_path, base=f"hf://nvidia/Alpamayo-R1-10B@{COMMIT}")

    assert resolve(recipe).base.digest == COMMIT


def test_every_address_that_cannot_be_resolved_is_named(tmp_path):
    drives = [{"format": "jsonl", "uri": f"file:///nowhere/{n}"} for n in range(2)]
    recipe = recipe_in(tmp_path, base="file:///nowhere/base", curate={"drives": drives})

    with pytest.raises(DataError) as caught:
        resolve(recipe)

    assert all(
        text in str(caught.value) for text in ("base: ", "curate.drives.0: ", "curate.drives.1: ", "3 addresses")
    )
