"""`python -m touge.demo`, with a world of a few drives and a training of a few steps."""

import json

import pytest

from touge.alpamayo import checkpoint
from touge.demo.__main__ import Size, make
from touge.demo.base import TRAINING

SMALL = Size(drives=2, base_drives=4, training={**TRAINING, "steps": 2, "batch_size": 2})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What a small demo leaves."""
    folder = tmp_path_factory.mktemp("demo")
    make(folder, 3, SMALL)
    return folder


def times(folder):
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.glob("*drives/**/*.zip")}


def test_the_base_is_a_checkpoint_that_loads(made):
    model, tokenizer = checkpoint.load(made / "base")

    assert model.config.max_pixels == 192 * 64
    assert tokenizer.encode("left", add_special_tokens=False).ids


def test_what_the_base_learnt_is_tainted_and_straight(made):
    rows = [json.loads(line) for line in (made / "work/store/straightened.jsonl").read_text().splitlines()]
    (training,) = made.glob("work/store/stages/train-*/executions/*/training.json")

    assert {y for row in rows for _, y, _ in row["future"]} == {0.0}
    assert json.loads(training.read_text())["tainted"]


def test_the_two_worlds_have_no_road_in_common(made):
    rows = [json.loads(line) for line in (made / "work/store/straightened.jsonl").read_text().splitlines()]

    assert {row["place"].split("-")[1] for row in rows} == {"1003"}


def test_making_it_again_draws_nothing(made):
    before = times(made)

    make(made, 3, SMALL)

    assert times(made) == before


def test_another_seed_draws_another_world(made):
    before = times(made)

    make(made, 4, SMALL)

    assert all(times(made)[path] != before[path] for path in before)
