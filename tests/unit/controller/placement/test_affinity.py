"""Placement by GPU memory: where each method lands, on the labels of every platform."""

from __future__ import annotations

import copy
from typing import get_args

import gpu_nodes
import pytest
from gpu_nodes import NODES, TOLD_MIB, discovered, node
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from run_builders import make_recipe
from scheduling import PREFERRED, matches, provisions, score, terms

from controller.placement.affinity import Family, Need, Placement, need_of, node_affinity
from controller.placement.gpu_memory import METHOD_GB
from controller.placement.hardware import GB, GIB, TABLE
from touge.contract.errors import SettingsError
from touge.contract.model import problems

FAMILIES = get_args(Family)
LORA, FULL = Need(24), Need(80)


def affinity(need: Need = LORA, **placement):
    return node_affinity(need, Placement.model_validate(placement))


@pytest.mark.parametrize("name", NODES)
def test_a_method_lands_where_one_gpu_has_its_memory(name):
    labels, methods = NODES[name]

    assert methods == {m for m, needed in METHOD_GB.items() if matches(affinity(Need(needed)), labels)}


def test_the_table_of_families_is_the_one_that_a_platform_may_name():
    assert tuple(TABLE.families) == FAMILIES


def test_eighty_gigabytes_are_decimal_and_rounded_down_to_the_labels_unit():
    told = {term["matchExpressions"][0]["key"]: term["matchExpressions"][0]["values"] for term in terms(affinity(FULL))}

    assert told[gpu_nodes.GFD] == ["76292"]
    assert told[gpu_nodes.VRAM] == ["75"]


@given(
    needed=st.integers(1, 300), size=st.integers(1, 300), share=st.floats(0, 1), family=st.sampled_from(FAMILIES[:4])
)
def test_a_card_fits_if_and_only_if_it_was_sold_with_enough(needed, size, share, family):
    unit = TABLE.families[family].bytes_per_unit
    told = int((size * GB + share * size * (GIB - GB)) // unit)
    fits = matches(affinity(Need(needed)), {TABLE.families[family].key: str(told)})

    assert fits or size < needed
    assert not fits or told >= needed * GB // unit


@given(
    more=st.integers(1, 200), less=st.integers(1, 200), labels=st.sampled_from([labels for labels, _ in NODES.values()])
)
def test_where_a_need_fits_a_smaller_one_does_too(more, less, labels):
    more, less = max(more, less), min(more, less)
    high_need = affinity(Need(more), labels=["gpu-feature-discovery", "karpenter", "eks", "coreweave"])

    assert matches(affinity(Need(less)), labels) or not matches(high_need, labels)


@given(
    needed=st.sampled_from(TABLE.card_sizes),
    ceiling=st.sampled_from(TABLE.card_sizes),
    size=st.sampled_from(list(TOLD_MIB)),
)
def test_a_ceiling_lets_in_the_card_of_that_size_and_none_above(needed, ceiling, size):
    needed, ceiling = min(needed, ceiling), max(needed, ceiling)
    bounded = affinity(Need(needed), gpuMemory={"max": ceiling})

    assert matches(bounded, node("gpu-feature-discovery", size)) == (needed <= size <= ceiling)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_ceiling_holds_on_every_platform(family):
    bounded = affinity(LORA, gpuMemory={"max": 40})

    assert [matches(bounded, node(family, size)) for size in (16, 24, 40, 80)] == [False, True, True, False]


def test_a_card_of_24_binary_gigabytes_is_within_a_ceiling_of_24():
    assert matches(affinity(LORA, gpuMemory={"max": 24}), {gpu_nodes.GFD: "24564"})


@pytest.mark.parametrize(
    "labels",
    [discovered(81_559, **gpu_nodes.TIME_SLICED), discovered(81_559, **gpu_nodes.MPS), gpu_nodes.GKE_TIME_SHARED],
)
def test_a_shared_gpu_fits_only_when_asked_for(labels):
    assert not matches(affinity(LORA), labels)
    assert matches(affinity(LORA, shared=True), labels)


@pytest.mark.parametrize("need", [Need(24, gpus=2), Need(24, nodes=2)])
@pytest.mark.parametrize("labels", [discovered(81_559, **gpu_nodes.TIME_SLICED), gpu_nodes.SLICES_40GB])
def test_processes_that_work_together_get_cards_of_their_own(need, labels):
    assert matches(affinity(LORA, shared=True), labels)
    assert not matches(affinity(need, shared=True), labels)


def test_a_slice_on_gke_is_refused_even_where_sharing_is_asked_for():
    assert not matches(affinity(LORA, shared=True), gpu_nodes.GKE_SLICE)


def test_no_floor_lets_every_driver_in():
    old = discovered(81_559) | {"nvidia.com/cuda.driver-version.major": "470"}

    assert matches(affinity(LORA, driver=None), old)
    assert matches(affinity(LORA, driver=470), old)
    assert not matches(affinity(LORA, driver=510), old)


@pytest.mark.parametrize("family", FAMILIES)
def test_only_the_families_named_are_rendered(family):
    only = affinity(LORA, labels=[family])

    assert [family] == [name for name in FAMILIES if matches(only, node(name, 80))]


def test_a_label_of_the_platforms_own_is_a_family_too():
    own = affinity(LORA, labels=[{"key": "gpu.intel.com/memory.max", "bytesPerUnit": 1}])

    assert matches(own, {"gpu.intel.com/memory.max": str(24 * GB)})
    assert not matches(own, {"gpu.intel.com/memory.max": str(16 * GIB)})


@pytest.mark.parametrize("family", FAMILIES)
def test_of_one_family_the_smallest_fitting_card_is_liked_best(family):
    preferring = affinity(LORA, labels=[family])
    scores = [score(preferring, node(family, size)) for size in (24, 40, 80, 141)]

    assert scores == sorted(set(scores), reverse=True)


@pytest.mark.parametrize("families", [FAMILIES, FAMILIES[:2], FAMILIES[3:]])
def test_several_families_come_without_preferences(families):
    assert PREFERRED not in affinity(LORA, labels=families)


def test_a_preference_weighs_what_kubernetes_allows():
    assert {1 <= item["weight"] <= 100 for item in affinity(Need(1), labels=["gke"])[PREFERRED]} == {True}


@pytest.mark.parametrize("families", [FAMILIES, ("karpenter",), ("karpenter", "gke"), ("eks", "karpenter")])
@pytest.mark.parametrize("size", [24, 141])
def test_karpenter_makes_a_node_that_does_not_exist_yet(families, size):
    assert provisions(affinity(LORA, labels=families), node("karpenter", size))


def test_karpenter_makes_no_node_that_is_too_small():
    assert not provisions(affinity(FULL), node("karpenter", 40))


def test_preferences_beside_alternatives_would_keep_karpenter_from_making_a_node():
    both = affinity(LORA) | {PREFERRED: affinity(LORA, labels=["gpu-feature-discovery"])[PREFERRED]}
    alone = {key: value for key, value in both.items() if key != PREFERRED}

    assert provisions(alone, node("eks", 24))
    assert not provisions(both, node("eks", 24))


def test_every_condition_is_needed_by_some_node():
    needless = [
        (key, removed["key"])
        for key, removed, weaker in _weaker(affinity(FULL))
        if not any(matches(weaker, labels) and "full" not in methods for labels, methods in _every_combination())
    ]

    assert needless == []


def _weaker(strong):
    """Yield the affinity without one of its conditions, each in turn."""
    for position, term in enumerate(terms(strong)):
        for index, expression in enumerate(term["matchExpressions"]):
            weaker = copy.deepcopy(strong)
            del terms(weaker)[position]["matchExpressions"][index]
            yield term["matchExpressions"][0]["key"], expression, weaker


def _every_combination():
    """Yield nodes with and without each thing that must not be true of them."""
    yield from NODES.values()
    for family in FAMILIES[:]:
        for extra in (
            gpu_nodes.TIME_SLICED,
            {"cloud.google.com/gke-gpu-sharing-strategy": "time-sharing"},
            {"cloud.google.com/gke-gpu-partition-size": "1g.10gb"},
            {"nvidia.com/gpu.slices.gi": "1"},
            {"nvidia.com/cuda.driver-version.major": "470"},
        ):
            if family != "gpu-feature-discovery" or "nvidia.com/gpu.slices.gi" not in extra:
                yield node(family, 80) | extra, set()


def test_a_ceiling_below_the_need_is_refused_with_both_figures():
    with pytest.raises(SettingsError, match=r"at least 80 GB .*gpuMemory\.max of the template is 40.*gpu_memory"):
        affinity(FULL, gpuMemory={"max": 40})


def test_a_family_without_such_a_card_is_refused_by_name():
    with pytest.raises(SettingsError, match=r"at least 400 GB .* \(gke\) .* Name another family"):
        affinity(Need(400), labels=["gke"])


def test_a_family_without_such_a_card_is_left_out_beside_others():
    assert [gpu_nodes.GFD] == [
        t["matchExpressions"][0]["key"] for t in terms(affinity(Need(400), labels=FAMILIES[::4]))
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"gpuMemory": {"max": -1}}, "gpuMemory.max: given -1; expected greater than or equal to 1"),
        ({"gpuMemory": {"min": 80, "max": 24}}, "gpuMemory: given"),
        ({"gpuMemory": {"maximum": 1}}, "gpuMemory.maximum: unknown key; did you mean `max`?"),
        ({"labels": []}, "labels: given []; expected at least 1"),
        ({"labels": ["karpentr"]}, "labels.0"),
        ({"nodeselector": {}}, "nodeselector: unknown key; did you mean `nodeSelector`?"),
    ],
)
def test_what_the_platform_says_is_checked_and_the_place_is_named(given, said):
    with pytest.raises(ValidationError) as caught:
        Placement.model_validate(given)

    assert said in "\n".join(problems(caught.value, Placement))


@pytest.mark.parametrize(
    ("stage", "resources", "placement", "need"),
    [
        ("train", {}, {}, Need(24)),
        ("train", {"gpu_memory": "80GB", "gpus": 4, "nodes": 2}, {}, Need(80, 4, 2)),
        ("train", {}, {"gpuMemory": {"min": 40}}, Need(40)),
        ("train", {"gpu_memory": "16GB"}, {"gpuMemory": {"min": 40}}, Need(16)),
        ("evaluate-map", {"gpus": 4, "nodes": 2}, {}, Need(24)),
        ("train", {"gpus": 0}, {}, None),
        ("curate-map", {}, {}, None),
        ("evaluate", {}, {}, None),
    ],
)
def test_a_stage_needs_what_the_recipe_the_platform_or_the_method_says(stage, resources, placement, need):
    recipe = make_recipe(resources=resources)

    assert need_of(stage, recipe, Placement.model_validate(placement)) == need
