"""Reasoning for rows that have none: the base model's own words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from tiny_training import World, feed_of, settings

from touge.alpamayo.weights import checkpoint
from touge.contract.artifacts import StageRef
from touge.contract.errors import DataError, Interrupted
from touge.storage.execution import Execution, committed, newest_checkpoint
from touge.training import stage
from touge.training.base_words import (
    FILE,
    check_words,
    generate_words,
    read_words,
    windows_a_pass,
    wordless,
    write_words,
)
from touge.training.ranks import Ranks

SILENT = {"reasoning": None}


def trained(context):
    context.execution.commit(stage.run(context))
    return committed(context.store, StageRef(context.stage.id)).fetch(context.scratch / "artifact")


def generated(world, indices, seed=0):
    model, tokenizer = checkpoint.load(world.base)
    stopping = iter([False] * 99).__next__
    return generate_words(model, tokenizer, world.inputs(), indices, seed=seed, ranks=Ranks(), stopping=stopping)


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=5))
def test_words_are_read_back_equal(tmp_path_factory, words):
    path = tmp_path_factory.mktemp("words") / FILE
    write_words(words, path)

    assert read_words(path) == words


def test_no_file_is_no_words(tmp_path):
    assert read_words(tmp_path / FILE) == {}


def test_rows_that_are_needed_and_have_no_words_yet_are_missing(world):
    world.curate(changes={1: SILENT, 4: SILENT, 6: SILENT})

    assert wordless(world.inputs(), [6, 0, 1, 1, 2], {}) == [1, 6]
    assert wordless(world.inputs(), [6, 0, 1, 1, 2], {"drive@1": ""}) == [6]


def test_what_the_base_says_of_a_window_does_not_depend_on_the_others(world):
    world.curate(count=5, changes=dict.fromkeys(range(5), SILENT))

    together = generated(world, range(5))

    assert {f"drive@{number}" for number in range(5)} == together.keys()
    assert {"drive@3": together["drive@3"]} == generated(world, [3])
    assert together["drive@3"] != generated(world, [3], seed=1)["drive@3"]


def test_the_words_are_what_the_model_learns(world):
    world.curate(count=2, changes={1: SILENT})
    inputs = world.inputs({"drive@1": "Keep going straight.", "drive@0": "not asked"})
    own, filled = inputs.example(0), inputs.example(1)

    expected = world.samples().read(0).reasoning.text
    tokenizer = checkpoint.load(world.base)[1]
    assert expected in tokenizer.decode(own.input_ids[own.reasoning].tolist())
    assert "Keep going straight." in tokenizer.decode(filled.input_ids[filled.reasoning].tolist())


def test_words_are_saved_with_the_adapter_for_the_rows_that_were_trained_on(world):
    world.curate(count=6, changes=dict.fromkeys(range(6), SILENT))
    context = world.context(world.plan(steps=2))  # four of six windows

    folder = trained(context)

    words, feed = read_words(folder / FILE), feed_of(world.inputs(), settings(steps=2))
    seen = {f"drive@{index}" for step in (0, 1) for part in feed.indices(step) for index in part}
    assert words.keys() == seen
    assert len(words) == 4
    metadata = committed(context.store, StageRef(context.stage.id)).manifest.metadata
    assert metadata["samples"] == {"train": 6, "wordless": 6, "base_words": 4}


def test_a_data_set_with_words_of_its_own_gets_none(world):
    world.curate(count=2)

    assert not (trained(world.context(world.plan(steps=1))) / FILE).exists()


def test_an_interruption_among_the_words_keeps_what_was_said(world):
    world.curate(count=20, changes=dict.fromkeys(range(20), SILENT))
    plan = world.plan(steps=10)
    with pytest.raises(Interrupted, match="stopped after 16 of 20 windows had words"):
        stage.run(world.context(plan, "tiny-1-1-a", stop_after=1))
    kept = _saved(world, plan) | {"drive@0": "Right curve ahead, slow down."}

    assert len(kept) == 16
    _save(world, plan, kept)
    folder = trained(world.context(plan, "tiny-1-2-b"))

    words = read_words(folder / FILE)
    assert len(words) == 20
    assert {name: words[name] for name in kept} == kept


def _saved(world, plan):
    context = world.context(plan)
    found = newest_checkpoint(context.store, StageRef(context.stage.id))
    assert found.step == 0
    return read_words(found.artifact.fetch(world.root / "words") / FILE)


def _save(world, plan, words):
    """Leave a checkpoint before the first step that is newer than all others."""
    folder = world.root / "edited"
    folder.mkdir()
    write_words(words, folder / FILE)
    context = world.context(plan)
    Execution(context.store, StageRef(context.stage.id), "tiny-1-1-z", lambda: 0).checkpoint(0, folder, {})


def test_a_training_on_the_bases_words_resumes_exactly(tmp_path, base):
    whole, parts = (World(tmp_path / name, base) for name in ("whole", "parts"))
    for world in (whole, parts):
        world.curate(count=4, changes={1: SILENT, 2: SILENT})
    expected = trained(whole.context(whole.plan()))
    plan = parts.plan()
    with pytest.raises(Interrupted, match="stopped after step 1;"):
        stage.run(parts.context(plan, "tiny-1-1-a", stop_after=3))
    found = trained(parts.context(plan, "tiny-1-2-b"))

    first, second = (load_file(folder / "adapter/adapter_model.safetensors") for folder in (expected, found))
    assert read_words(found / FILE) == read_words(expected / FILE)
    assert all(first[name].equal(second[name]) for name in first)


@pytest.mark.parametrize("said", [{}, {"a": "Left."}, {"a": "Left.", "b": ""}, {"a": "", "b": "Left.", "c": "Right."}])
def test_a_base_that_speaks_of_half_the_windows_is_accepted(said):
    check_words(said)


@pytest.mark.parametrize("said", [{"a": ""}, {"a": "", "b": "", "c": "Left."}])
def test_a_base_that_mostly_says_nothing_is_refused(said):
    with pytest.raises(DataError, match=rf"nothing about {len(said) - ('c' in said)} of {len(said)} windows.*template"):
        check_words(said)


def test_as_many_windows_speak_at_a_time_as_have_room_but_one_always(base):
    model, _ = checkpoint.load(base)
    text = model.config.backbone["text_config"]
    column = 2 * text["num_hidden_layers"] * text["num_key_value_heads"] * text["head_dim"] * 4

    assert windows_a_pass(model, 100) == 16
    assert windows_a_pass(model, (1 << 30) // column // 3) == 3
    assert windows_a_pass(model, (1 << 30) // column + 1) == 1
