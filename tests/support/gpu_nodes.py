"""Labels of GPU nodes as each platform sets them: figures as reported by the cards, not as sold."""

from __future__ import annotations

from typing import get_args

from controller.placement.affinity import Family
from controller.placement.gpu_memory import METHOD_GB

#: MiB that a card tells, by what is printed on its box in GB.
TOLD_MIB = {12: 12_288, 16: 15_360, 24: 22_888, 40: 40_960, 80: 81_559, 141: 143_771}
GKE_CARD = {
    16: "nvidia-tesla-t4",
    24: "nvidia-l4",
    40: "nvidia-tesla-a100",
    80: "nvidia-h100-80gb",
    141: "nvidia-h200-141gb",
}
GFD, KARPENTER, EKS = (
    "nvidia.com/gpu.memory",
    "karpenter.k8s.aws/instance-gpu-memory",
    "eks.amazonaws.com/instance-gpu-memory",
)
VRAM, GKE = "gpu.nvidia.com/vram", "cloud.google.com/gke-accelerator"

Node = dict[str, str]


def discovered(mib: int, **labels: str) -> Node:
    """A node with GPU feature discovery and device plugin at their defaults."""
    plain = {"gpu.memory": str(mib), "gpu.sharing-strategy": "none", "gpu.replicas": "1", "mig.strategy": "single"}
    driver = {"cuda.driver-version.major": "580"}
    return {f"nvidia.com/{name}": value for name, value in (plain | driver).items()} | labels


def node(family: str, gigabytes: int) -> Node:
    """A node of one platform, labelled by that platform alone."""
    mib = TOLD_MIB[gigabytes]
    match family:
        case "gpu-feature-discovery":
            return discovered(mib)
        case "karpenter":
            return {KARPENTER: str(mib)}
        case "eks":
            return {EKS: str(mib)}
        case "coreweave":
            return {VRAM: str(mib // 1000)}
        case "gke":
            return {GKE: GKE_CARD[gigabytes]}
    raise AssertionError(f"unexpected family: {family}")


TIME_SLICED = {"nvidia.com/gpu.sharing-strategy": "time-slicing", "nvidia.com/gpu.replicas": "4"}
MPS = {"nvidia.com/gpu.sharing-strategy": "mps"}
#: A whole H100 in MIG slices of one size, as GPU feature discovery tells them under the strategy `single`.
SLICES_10GB = discovered(9_728) | {"nvidia.com/gpu.slices.gi": "1", "nvidia.com/gpu.slices.ci": "1"}
SLICES_40GB = discovered(40_448) | {"nvidia.com/gpu.slices.gi": "3", "nvidia.com/gpu.slices.ci": "3"}
GKE_SLICE = node("gke", 80) | {"cloud.google.com/gke-gpu-partition-size": "1g.10gb"}
GKE_TIME_SHARED = node("gke", 80) | {
    "cloud.google.com/gke-gpu-sharing-strategy": "time-sharing",
    "cloud.google.com/gke-max-shared-clients-per-gpu": "4",
}
#: Nodes of every platform: labels -> the methods that may run there.
NODES = {
    **{
        f"{family}, {size} GB": (node(family, size), {name for name, needed in METHOD_GB.items() if needed <= size})
        for family in get_args(Family)
        for size in TOLD_MIB
        if family != "gke" or size in GKE_CARD
    },
    "no label": ({}, set()),
    "an empty label": ({GFD: ""}, set()),
    "a label that is no number": ({GFD: "80GB"}, set()),
    "time-sliced": (discovered(81_559, **TIME_SLICED), set()),
    "shared by MPS": (discovered(81_559, **MPS), set()),
    "Karpenter's, time-sliced": (node("karpenter", 80) | discovered(81_559, **TIME_SLICED), set()),
    "MIG slices of 10 GB": (SLICES_10GB, set()),
    "MIG slices of 40 GB": (SLICES_40GB, {"lora", "qlora"}),
    "Karpenter's H100 in slices of 10 GB": (node("karpenter", 80) | SLICES_10GB, set()),
    "EKS's H100 in slices of 10 GB": (node("eks", 80) | SLICES_10GB, set()),
    "CoreWeave's H100 in slices of 10 GB": (node("coreweave", 80) | SLICES_10GB, set()),
    "GKE slice of an H100": (GKE_SLICE, set()),
    "GKE slice with discovery": (GKE_SLICE | discovered(81_559), set()),
    "GKE time-shared H100": (GKE_TIME_SHARED, set()),
    "GKE time-shared H100 with discovery": (GKE_TIME_SHARED | discovered(81_559), set()),
    "GKE card that nobody knows": ({GKE: "nvidia-of-tomorrow"}, set()),
    "a driver that is too old": (discovered(81_559) | {"nvidia.com/cuda.driver-version.major": "550"}, set()),
    "Karpenter's with an old driver": (
        node("karpenter", 80) | {"nvidia.com/cuda.driver-version.major": "550"},
        set(),
    ),
    "a driver that is newer": (
        discovered(81_559) | {"nvidia.com/cuda.driver-version.major": "610"},
        {"full", "lora", "qlora"},
    ),
    "a driver that does not tell": ({GFD: "81559"}, {"full", "lora", "qlora"}),
}
