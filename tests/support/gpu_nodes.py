"""Labels of GPU nodes as each platform sets them: figures as reported by the cards, not as sold."""

from __future__ import annotations

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
