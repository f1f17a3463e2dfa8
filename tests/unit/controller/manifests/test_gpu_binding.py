"""A pod bound to GPU nodes and released again."""

from __future__ import annotations

import copy

import gpu_nodes
import pytest
from hypothesis import given
from hypothesis import strategies as st
from job_templates import templates
from scheduling import matches

from controller.manifests.claims import claim_spec
from controller.manifests.gpu_binding import bound
from controller.placement.affinity import Need, Placement
from touge.contract.errors import SettingsError

POD = templates()["train-lora"].pod["spec"]
NVIDIA = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
DYNAMIC = {"dynamicAllocation": {}}
LORA = Need(24)

needs = st.builds(Need, st.sampled_from([12, 24, 80]), st.integers(1, 8), st.integers(1, 4))
placements = st.builds(
    lambda **given: Placement.model_validate(given),
    resource=st.sampled_from(["nvidia.com/gpu", "amd.com/gpu"]),
    nodeSelector=st.sampled_from([{}, {"pool": "gpu"}]),
    dynamicAllocation=st.sampled_from([None, {}]),
    affinity=st.sampled_from([None, {"nodeAffinity": {"own": []}}]),
)


def stage(pod):
    return pod["containers"][0]


def with_(**changes):
    return POD | changes


def place(need=LORA, pod=POD, **placement):
    return bound(pod, need, Placement.model_validate(placement), "claim")


def test_a_pod_gets_its_gpus_as_a_limit():
    assert stage(place(Need(24, gpus=4)))["resources"] == {
        "requests": {"cpu": "4", "memory": "32Gi"},
        "limits": {"memory": "32Gi", "nvidia.com/gpu": "4"},
    }


def test_a_pod_tolerates_the_taint_of_gpu_nodes():
    assert place()["tolerations"] == [NVIDIA]


def test_another_vendors_gpus_are_a_matter_of_values():
    amd = {"key": "amd.com/gpu", "operator": "Exists"}
    own = {"nodeAffinity": {"anything": "else"}}
    pod = place(resource="amd.com/gpu", tolerations=[amd], affinity=own, nodeSelector={"pool": "mi300"})

    assert stage(pod)["resources"]["limits"]["amd.com/gpu"] == "1"
    assert pod["tolerations"] == [amd]
    assert pod["affinity"] == own
    assert pod["nodeSelector"] == {"pool": "mi300"}


def test_where_no_gpu_is_needed_nothing_binds_to_gpu_nodes():
    bound_before = place(Need(80), nodeSelector={"pool": "gpu"})

    assert place(None, bound_before, nodeSelector={"pool": "gpu"}) == POD


def test_what_else_the_template_asks_of_a_node_stays():
    spread = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}
    pod = with_(nodeSelector={"kubernetes.io/arch": "amd64"}, tolerations=[{"key": "spot"}], affinity=spread)

    assert place(None, pod) == pod
    assert place(pod=pod)["nodeSelector"] == {"kubernetes.io/arch": "amd64"}
    assert place(pod=pod)["tolerations"] == [{"key": "spot"}, NVIDIA]
    assert place(pod=pod)["affinity"].keys() == {"podAntiAffinity", "nodeAffinity"}


@given(first=needs, second=needs, placement=placements)
def test_the_last_need_counts_whatever_the_template_was_rendered_for(first, second, placement):
    twice = bound(bound(POD, first, placement, "claim"), second, placement, "claim")

    assert twice == bound(POD, second, placement, "claim")


@given(need=needs, placement=placements)
def test_binding_and_releasing_leaves_the_pod_as_it_was(need, placement):
    before = copy.deepcopy(POD)

    assert bound(bound(POD, need, placement, "claim"), None, placement, "claim") == before
    assert before == POD


def test_a_larger_need_of_the_recipe_replaces_the_templates_affinity():
    affinity = place(Need(80), place(Need(24)))["affinity"]["nodeAffinity"]

    assert matches(affinity, gpu_nodes.node("karpenter", 80))
    assert not matches(affinity, gpu_nodes.node("karpenter", 24))


def test_claimed_gpus_are_neither_counted_nor_chosen_by_labels():
    pod = place(Need(24, gpus=2), **DYNAMIC)

    assert pod["resourceClaims"] == [{"name": "gpu", "resourceClaimTemplateName": "claim"}]
    assert stage(pod)["resources"]["claims"] == [{"name": "gpu"}]
    assert "nvidia.com/gpu" not in stage(pod)["resources"]["limits"]
    assert "affinity" not in pod


def test_claims_of_the_templates_own_stay():
    pod = with_(resourceClaims=[{"name": "nic", "resourceClaimTemplateName": "rdma"}])

    assert [claim["name"] for claim in place(pod=pod, **DYNAMIC)["resourceClaims"]] == ["nic", "gpu"]


def claim(need=LORA, **placement):
    read = Placement.model_validate(placement | DYNAMIC)
    (request,) = claim_spec(need, read, read.dynamic_allocation)["spec"]["devices"]["requests"]
    return request["exactly"]


def test_a_claim_asks_for_that_many_gpus_with_that_memory():
    assert claim(Need(80, gpus=4), driver=None) == {
        "deviceClassName": "gpu.nvidia.com",
        "allocationMode": "ExactCount",
        "count": 4,
        "selectors": [
            {"cel": {"expression": "device.capacity['gpu.nvidia.com'].memory.compareTo(quantity('76293Mi')) >= 0"}}
        ],
    }


@pytest.mark.parametrize(
    ("placement", "condition"),
    [
        ({"gpuMemory": {"max": 40}}, "device.capacity['gpu.nvidia.com'].memory.compareTo(quantity('40960Mi')) <= 0"),
        ({"driver": 570}, "device.attributes['gpu.nvidia.com'].driverVersion.compareTo(semver('570.0.0')) >= 0"),
    ],
)
def test_a_claim_heeds_the_ceiling_and_the_drivers_floor(placement, condition):
    assert condition in claim(**placement)["selectors"][0]["cel"]["expression"].split(" && ")


def test_a_claim_above_the_ceiling_is_refused():
    with pytest.raises(SettingsError, match=r"gpuMemory\.max of the template is 40"):
        claim(Need(80), gpuMemory={"max": 40})
