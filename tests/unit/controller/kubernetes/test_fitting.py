"""Which nodes fit, and what the others lack."""

from __future__ import annotations

import pytest
from pod_builders import node

from controller.placement.affinity import Need, Placement, node_affinity
from controller.runners.kubernetes.fitting import Wanted, fitting, gigabytes, unmet

ANY = Placement()
H100, L4, RTX_4090 = node("h100", 81559), node("l4", 22888), node("rtx", 24564)


def wanted(gigabytes: int, gpus: int = 1, **selector) -> Wanted:
    need = Need(gigabytes, gpus)
    pod = {"affinity": {"nodeAffinity": node_affinity(need, ANY)}, "nodeSelector": selector}
    return Wanted(pod, need, ANY)


@pytest.mark.parametrize(("given", "size"), [(H100, 80), (L4, 24), (RTX_4090, 24), (node("none"), None)])
def test_a_cards_memory_is_told_as_on_its_box(given, size):
    assert gigabytes(given, ANY) == size


def test_the_cards_name_tells_its_memory_where_no_label_does():
    gke = node("gke")
    gke["metadata"]["labels"]["cloud.google.com/gke-accelerator"] = "nvidia-h100-80gb"

    assert gigabytes(gke, ANY) == 80


def test_only_nodes_with_enough_memory_and_gpus_fit():
    assert fitting([H100, L4, RTX_4090], wanted(24)) == ["h100", "l4", "rtx"]
    assert fitting([H100, L4, RTX_4090], wanted(80)) == ["h100"]
    assert fitting([H100, node("eight", 81559, gpus=8)], wanted(80, gpus=8)) == ["eight"]


def test_a_cordoned_node_does_not_fit():
    assert fitting([H100 | {"spec": {"unschedulable": True}}], wanted(80)) == []


def test_what_is_missing_is_said_with_the_largest_that_is_there():
    assert unmet([L4, RTX_4090], wanted(80)) == "needs a GPU with >= 80 GB; the largest here has 24 GB"


def test_too_few_gpus_in_one_node_are_said():
    assert unmet([H100], wanted(80, gpus=8)) == "needs 8 GPUs with >= 80 GB in one node; the most here is 1"


def test_a_cluster_without_gpu_labels_is_said():
    assert unmet([node("plain")], wanted(24)).startswith("needs a GPU with >= 24 GB; no node here tells by a label")


def test_a_node_that_is_ruled_out_otherwise_is_not_called_too_small():
    assert "outside the node selector" in unmet([H100], wanted(80, pool="team-a"))


def test_nothing_is_missing_where_a_node_fits():
    assert unmet([H100], wanted(80)) == ""


def test_a_pod_without_gpus_fits_by_its_selector():
    plain = Wanted({"nodeSelector": {"pool": "cpu"}}, None, ANY)

    assert fitting([node("a", pool="cpu"), node("b")], plain) == ["a"]
    assert "nodeSelector" in unmet([node("b")], plain)
