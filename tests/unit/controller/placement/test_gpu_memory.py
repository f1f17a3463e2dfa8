"""What trainings take of a GPU: one table behind plan, README and recipes."""

import re
from pathlib import Path

import pytest
from run_builders import make_recipe

from controller.placement.gpu_memory import METHOD_GB, needed_gb, told_memory
from controller.placement.hardware import TABLE
from touge.contract.figures import ROWS, Figure, figure_of, table, written
from touge.contract.recipe import load_recipe

ROOT = Path(__file__).parents[4]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RUN = {"gpu": "H100 80GB", "date": "2026-11-27", "command": "python benchmarks/training.py"}


def row(**changes):
    usual = {"method": "lora", "cameras": 1, "batch": 1, "flowDraws": 1, "economy": "none", "card": 24}
    return Figure.model_validate(usual | changes)


def job(name):
    return (ROOT / f"jobs/{name}.yaml").read_text(encoding="utf-8")


def test_the_readme_shows_todays_table():
    assert table() in README
    assert written(README) == README, "run make schema"


def test_a_methods_template_asks_for_the_card_of_its_figures():
    cards = {method: min(row.card for row in ROWS if row.method == method) for method in METHOD_GB}

    assert cards == dict(METHOD_GB)


@pytest.mark.parametrize("figure", ROWS, ids=lambda row: row.method)
def test_a_measured_row_names_its_peak_and_fits_its_card_and_an_estimate_has_none(figure):
    assert figure.card in TABLE.card_sizes
    assert (figure.measured is None) == (figure.peak_gib is None) == (figure.reserved_gib is None)
    if figure.measured:
        assert figure.peak_gib <= figure.reserved_gib < figure.card
        assert (ROOT / figure.measured.command.split()[1]).is_file()


def test_a_recipe_gets_the_smallest_card_of_the_rows_that_cover_it():
    train = make_recipe().train
    rows = [row(card=48, cameras=4), row(card=24), row(card=12, method="qlora")]

    assert figure_of(train, 1, rows).card == 24
    assert figure_of(train, 1, rows[:1]).card == 48


@pytest.mark.parametrize("change", ["train.batch_size=2", "curate.cameras=[front_wide,rear_tele]", "train.method=full"])
def test_a_row_does_not_cover_more_samples_more_cameras_or_another_method(change):
    recipe = load_recipe(job("lora-front"), [change])

    assert figure_of(recipe.train, len(recipe.curate.cameras), [row()]) is None


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("lora", "24 GB, measured 21.6 GiB: 4 cameras, batch 1"),
        ("lora-front", "24 GB, measured 21.6 GiB: 4 cameras, batch 1"),
        ("qlora", "12 GB, measured 10.2 GiB: 4 cameras, batch 1"),
        ("full", "80 GB, measured 63.0 GiB: 4 cameras, batch 1"),
    ],
)
def test_a_plan_tells_how_the_memory_is_known(name, told):
    recipe = load_recipe(job(name))

    assert told_memory("train", recipe) == told
    assert f"one GPU of {needed_gb('train', recipe)} GB" in job(name)


def test_what_is_asked_for_goes_before_figures_and_a_stage_without_a_gpu_needs_none():
    asked = load_recipe(job("lora"), ["resources.gpu_memory=48GB"])

    assert told_memory("train", asked) == "48 GB, asked for"
    assert told_memory("curate", asked) == "-"
    assert told_memory("train", load_recipe(job("lora"), ["train.batch_size=64"])) == "24 GB, estimated"


@pytest.mark.parametrize("name", ["lora", "qlora", "full"])
def test_a_recipes_header_tells_the_measured_peak(name):
    recipe = load_recipe(job(name))
    figure = figure_of(recipe.train, len(recipe.curate.cameras))

    (gib, card, date) = re.search(r"At most ([\d.]+) GiB.*on an (.+) on ([\d-]+)", job(name)).groups()
    assert (gib, card, date) == (f"{figure.peak_gib:.1f}", figure.measured.gpu, str(figure.measured.date))


def test_a_table_has_a_line_a_row_and_marks_what_was_not_measured():
    measured = row(peakGib=20.5, reservedGib=21.0, samplesPerSecond=1.5, measured=RUN)

    *_, first, second = table([measured, row()]).splitlines()

    assert first == (
        "| lora | 1 | 1 | 1 | none | 20.50 (21.00) | 1.50 | 24 GB "
        "| H100 80GB, 2026-11-27, `python benchmarks/training.py` |"
    )
    assert second == "| lora | 1 | 1 | 1 | none | - | - | 24 GB | estimate |"


def test_a_page_keeps_what_stands_around_the_table():
    page = written("before\n<!-- figures -->\nold\n<!-- /figures -->\nafter\n")

    assert page == f"before\n<!-- figures -->\n{table()}<!-- /figures -->\nafter\n"
