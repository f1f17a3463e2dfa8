"""Node affinity as Helm renders it: known numbers, and the same terms as the controller's."""

from __future__ import annotations

import pytest
import yaml
from helm import CHART, rendered, setting, stage_pod

from controller.manifests.templates import read_templates
from controller.placement import affinity, hardware

REQUIRED, PREFERRED = (f"{kind}DuringSchedulingIgnoredDuringExecution" for kind in ("required", "preferred"))
METHODS = {"full": 80, "lora": 24, "qlora": 12}
FAMILIES = ("gpu-feature-discovery", "karpenter", "eks", "coreweave", "gke")


def rendered_affinity(values, name):
    return stage_pod(rendered(values), name)["affinity"]["nodeAffinity"]


def memory(node_affinity):
    """Return the first expression of each required term: what the memory label must say."""
    terms = node_affinity[REQUIRED]["nodeSelectorTerms"]
    found = [term["matchExpressions"][0] for term in terms]
    return {item["key"]: (item["operator"], *item["values"]) for item in found}


def test_80_gb_on_every_platform(trial):
    assert memory(stage_pod(trial, "train-full")["affinity"]["nodeAffinity"]) == {
        "nvidia.com/gpu.memory": ("Gt", "76292"),
        "karpenter.k8s.aws/instance-gpu-memory": ("Gt", "76292"),
        "eks.amazonaws.com/instance-gpu-memory": ("Gt", "76292"),
        "gpu.nvidia.com/vram": ("Gt", "75"),
        "cloud.google.com/gke-accelerator": (
            "In", "nvidia-a100-80gb", "nvidia-b200", "nvidia-h100-80gb", "nvidia-h100-mega-80gb", "nvidia-h200-141gb",
            "nvidia-rtx-pro-6000",
        ),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("method", "states"), [("full", 81_559), ("lora", 22_888), ("lora", 24_564), ("qlora", 12_288)]
)
def test_a_card_of_that_size_fits_by_what_it_states(trial, method, states):
    operator, bound = memory(stage_pod(trial, f"train-{method}")["affinity"]["nodeAffinity"])["nvidia.com/gpu.memory"]

    assert operator == "Gt"
    assert states > int(bound)


def test_a_ceiling_keeps_larger_cards_away_and_its_own_size_in():
    values = setting("methods.lora.gpuMemory", {"max": "80GB"})
    terms = rendered_affinity(values, "train-lora")[REQUIRED]["nodeSelectorTerms"]
    ceilings = {term["matchExpressions"][1]["key"]: term["matchExpressions"][1]["values"] for term in terms[:4]}

    assert ceilings["nvidia.com/gpu.memory"] == ["81921"]
    assert ceilings["gpu.nvidia.com/vram"] == ["82"]


def test_every_term_refuses_shared_and_partitioned_cards(trial):
    for term in stage_pod(trial, "train-lora")["affinity"]["nodeAffinity"][REQUIRED]["nodeSelectorTerms"]:
        keys = {item["key"] for item in term["matchExpressions"]}
        assert {"nvidia.com/gpu.sharing-strategy", "cloud.google.com/gke-gpu-partition-size"} <= keys


def test_preferences_come_only_where_one_family_is_named(trial):
    assert PREFERRED not in stage_pod(trial, "train-lora")["affinity"]["nodeAffinity"]
    preferred = rendered_affinity(setting("placement.labels", ["karpenter"]), "train-lora")[PREFERRED]
    assert [item["weight"] for item in preferred][:3] == [100, 50, 25]
    assert preferred[0]["preference"]["matchExpressions"][1]["values"] == ["24577"]


def test_an_affinity_of_ones_own_replaces_the_computed_one():
    own = {
        "nodeAffinity": {
            REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}]}
        }
    }
    pod = stage_pod(rendered(setting("methods.full.affinity", own)), "train-full")

    assert pod["affinity"] == own


def test_a_label_of_the_platforms_own_tells_memory_too():
    own = [{"key": "example.com/gpu-gb", "bytesPerUnit": 1_000_000_000, "tellsSlices": True}]
    (term,) = rendered_affinity(setting("placement.labels", own), "train-qlora")[REQUIRED]["nodeSelectorTerms"]

    assert term["matchExpressions"][0] == {"key": "example.com/gpu-gb", "operator": "Gt", "values": ["11"]}
    assert "nvidia.com/gpu.slices.gi" not in [item["key"] for item in term["matchExpressions"]]


def test_any_driver_is_taken_where_the_platform_says_so(trial):
    floor = "nvidia.com/cuda.driver-version.major"
    terms = rendered_affinity(setting("placement.driver", 0), "train-lora")[REQUIRED]["nodeSelectorTerms"]
    usual = stage_pod(trial, "train-lora")["affinity"]["nodeAffinity"][REQUIRED]["nodeSelectorTerms"]

    assert floor not in {item["key"] for term in terms for item in term["matchExpressions"]}
    assert all(floor in {item["key"] for item in term["matchExpressions"]} for term in usual)


def test_the_charts_table_is_the_controllers():
    table = yaml.safe_load((CHART / "files" / "placement.yaml").read_text("utf-8"))

    assert hardware.Table.model_validate(table) == hardware.TABLE


CASES = {
    "defaults": {},
    "one family": {"labels": ["gpu-feature-discovery"]},
    "names only": {"labels": ["gke"]},
    "gigabytes": {"labels": ["coreweave"], "driver": 900},
    "own label": {"labels": [{"key": "example.com/gpu-mb", "bytesPerUnit": 1_000_000, "tellsSlices": True}]},
    "shared, any driver": {"labels": ["eks", "karpenter"], "shared": True, "driver": 0},
}
MEMORY = {
    "as needed": {},
    "a ceiling": {"max": "96GB"},
    "a floor": {"min": "40GB"},
    "both": {"min": "80GB", "max": "141GB"},
}


@pytest.mark.parametrize("bounds", MEMORY.values(), ids=MEMORY)
@pytest.mark.parametrize("choices", CASES.values(), ids=CASES)
def test_helm_renders_the_terms_that_the_controller_computes(choices, bounds):
    method = {"gpuMemory": bounds}
    values = setting("placement", choices) | {"methods": {"lora": method, "qlora": method}}

    for name, template in read_templates(rendered(values)).items():
        if name != "curate":
            usual = METHODS.get(name.removeprefix("train-"), 24)
            need = affinity.Need(template.placement.gpu_memory.min or usual)
            computed = affinity.node_affinity(need, template.placement)
            assert unordered(template.pod["spec"]["affinity"]["nodeAffinity"]) == unordered(computed), name


def unordered(node):
    """Return an affinity with the values of each expression sorted: their order means nothing."""
    if isinstance(node, dict):
        return {key: sorted(item) if key == "values" else unordered(item) for key, item in node.items()}
    return [unordered(item) for item in node] if isinstance(node, list) else node
