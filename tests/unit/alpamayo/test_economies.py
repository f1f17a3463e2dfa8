"""Which economies a method, a machine and a recipe's wishes lead to."""

import pytest
import torch

from touge.alpamayo.budget.economy import Economy, Machine, chosen
from touge.alpamayo.budget.machine import has_compiler, machine_of
from touge.contract.recipe import Economies

NOTHING = Economies()
LARGE, SMALL, CPU = (Machine(memory_gib, compiler=True) for memory_gib in (79.1, 22.0, None))


@pytest.mark.parametrize("method", ["lora", "qlora", "full"])
def test_on_a_cpu_the_model_is_plain(method):
    assert chosen(NOTHING, method, CPU) == Economy()


def test_a_large_card_keeps_all_activations_and_all_weights():
    expected = Economy(compiler="inductor", columns=64, rounded_adapters=True, cuda_graphs=True)

    assert chosen(NOTHING, "lora", LARGE) == expected


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_a_small_card_computes_layers_again_and_sends_frozen_parts_to_the_host(method):
    found = chosen(NOTHING, method, SMALL)

    assert (found.recompute, found.words_on_host, found.vision_on_host) == (1, True, True)


def test_a_vision_tower_with_adapters_stays_on_the_device():
    found = chosen(NOTHING, "lora", SMALL, vision_frozen=False)

    assert (found.words_on_host, found.vision_on_host) == (True, False)


@pytest.mark.parametrize(
    ("method", "memory_gib", "recorded"),
    [("lora", 79.1, True), ("lora", 23.5, True), ("lora", 22.3, False), ("qlora", 11.7, True), ("full", 79.1, False)],
)
def test_steps_are_recorded_where_a_recording_was_seen_to_fit(method, memory_gib, recorded):
    assert chosen(NOTHING, method, Machine(memory_gib, compiler=True)).cuda_graphs is recorded


def test_a_recording_can_be_wished_on_a_small_card():
    assert chosen(Economies(cuda_graphs=True), "lora", SMALL).cuda_graphs


@pytest.mark.parametrize(
    "hindrance",
    [{"vision_frozen": False}, {"split": True}, {"dropout": True}],
    ids=["trained pictures", "split weights", "dropout that would be drawn again"],
)
def test_what_cannot_be_recorded_is_not_even_where_it_is_wished(hindrance):
    assert not chosen(Economies(cuda_graphs=True), "lora", SMALL, **hindrance).cuda_graphs


def test_dropout_is_recorded_where_nothing_is_computed_again():
    assert chosen(NOTHING, "lora", LARGE, dropout=True).cuda_graphs


def test_full_training_computes_layers_again_on_any_card_and_moves_nothing():
    expected = Economy(compiler="inductor", recompute=1, columns=64)

    assert chosen(NOTHING, "full", LARGE) == chosen(NOTHING, "full", SMALL) == expected


def test_without_a_compiler_nothing_is_compiled_even_where_it_is_wished():
    without = Machine(79.1, compiler=False)

    assert chosen(NOTHING, "lora", without).compiler == ""
    assert chosen(Economies(compile=True), "lora", without).compiler == ""


def test_layers_of_split_weights_are_compiled_where_it_is_wished_behind_what_gathers_them():
    found = chosen(Economies(compile=True), "full", LARGE, split=True)

    assert (found.compiler, found.compiled_inside, found.cuda_graphs) == ("inductor", True, False)


def test_split_weights_are_neither_compiled_nor_sent_to_the_host():
    found = chosen(NOTHING, "lora", SMALL, split=True)

    assert not found.compiled_inside
    assert (found.compiler, found.words_on_host, found.vision_on_host, found.recompute) == ("", False, False, 1)


@pytest.mark.parametrize(
    ("wish", "field", "value"),
    [
        ({"compile": False}, "compiler", ""),
        ({"recompute": 0}, "recompute", 0),
        ({"recompute": 3}, "recompute", 3),
        ({"columns": 0}, "columns", 0),
        ({"rounded_adapters": False}, "rounded_adapters", False),
        ({"on_host": False}, "words_on_host", False),
        ({"on_host": False}, "vision_on_host", False),
    ],
)
def test_a_wish_goes_before_what_is_usual(wish, field, value):
    usual = chosen(NOTHING, "lora", SMALL)
    found = chosen(Economies.model_validate(wish), "lora", SMALL)

    assert getattr(found, field) == value != getattr(usual, field)


def test_a_wish_is_heard_on_a_cpu_as_well():
    wishes = Economies(compile=True, recompute=2, columns=16, rounded_adapters=True, on_host=True)

    assert chosen(wishes, "lora", CPU) == Economy("inductor", 2, 16, True, True, True)


def test_before_the_first_step_only_places_matter():
    assert chosen(NOTHING, "lora", SMALL).places == Economy(words_on_host=True, vision_on_host=True)


@pytest.mark.parametrize(
    ("there", "variable", "expected"),
    [
        ({"gcc"}, None, True),
        ({"clang"}, None, True),
        (set(), None, False),
        ({"cc1"}, "cc1", True),
        (set(), "cc1", False),
    ],
)
def test_a_compiler_is_looked_for_where_triton_looks(there, variable, expected, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    if variable:
        monkeypatch.setenv("CC", variable)
    for name in there:
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)

    assert has_compiler() is expected


def test_a_cpu_has_no_gpu_memory():
    assert machine_of(torch.device("cpu")).memory_gib is None
