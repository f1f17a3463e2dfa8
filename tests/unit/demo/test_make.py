"""`python -m touge.demo`, with a world of a few drives and a training of a few steps."""

import json
from collections import Counter
from pathlib import Path

import pytest

from touge.alpamayo.weights import checkpoint
from touge.contract.recipe import load_recipe
from touge.demo.base import TRAINING
from touge.demo.making import Size, draw_world, make
from touge.drives.synthetic.world import WorldSpec

SMALL = Size(drives=12, training={**TRAINING, "steps": 2, "batch_size": 2})
RECIPE = load_recipe((Path(__file__).parents[3] / "jobs/demo.yaml").read_text())

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What a small demo leaves."""
    folder = tmp_path_factory.mktemp("demo")
    make(RECIPE, folder / "demo", folder / "store", 3, SMALL)
    return folder


def times(folder):
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.rglob("*.zip")}


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def curated(folder):
    """Return the rows of the recipe's own data set."""
    files = map(rows, folder.glob("store/stages/curate-*/executions/*/samples.jsonl"))
    return next(found for found in files if any(row["split"] == "test" for row in found))


def test_the_base_is_a_checkpoint_that_loads(made):
    model, tokenizer = checkpoint.load(made / "demo/base")

    assert model.config.max_pixels == 192 * 64
    assert tokenizer.encode("left", add_special_tokens=False).ids


def test_what_the_base_learnt_is_tainted_and_straight(made):
    (training,) = made.glob("store/stages/train-*/executions/*/training.json")

    assert {y for row in rows(made / "store/straightened.jsonl") for _, y, _ in row["future"]} == {0.0}
    assert json.loads(training.read_text())["tainted"]


def test_the_base_learnt_from_no_drive_and_no_road_that_is_held_out(made):
    learnt, held_out = rows(made / "store/straightened.jsonl"), [r for r in curated(made) if r["split"] != "train"]

    assert {row["split"] for row in held_out} == {"validation", "test"}
    assert {row["drive"] for row in learnt}.isdisjoint(row["drive"] for row in held_out)
    assert {row["place"] for row in learnt}.isdisjoint(row["place"] for row in held_out)


def test_every_window_whose_future_was_driven_has_its_frames(made):
    counts = Counter(row["drive"] for row in curated(made))

    assert set(counts.values()) == {13}


def test_making_it_again_draws_nothing(made):
    before = times(made / "demo/drives")

    make(RECIPE, made / "demo", made / "store", 3, SMALL)

    assert times(made / "demo/drives") == before


def test_another_seed_draws_another_world(tmp_path):
    folder = tmp_path / "drives"
    draw_world(WorldSpec(seed=3, drives=1), folder)
    before = times(folder)

    draw_world(WorldSpec(seed=4, drives=1), folder)

    assert before
    assert all(times(folder)[path] != before[path] for path in before)
