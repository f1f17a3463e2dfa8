"""Which nodes may run a pod that needs so much GPU memory: a need and the platform's choices in, node affinity out.

Stands between the plan (how much memory a stage needs) and the manifest (what the scheduler is told). Pure: it never
asks the cluster what nodes exist, because a node pool scaled to zero has none yet. What it knows of labels and cards
is the table's (`hardware`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator

from controller.placement.gpu_memory import needed_gb
from controller.placement.hardware import TABLE, CardLabel, Expression, MemoryLabel
from touge.contract.errors import SettingsError
from touge.contract.model import Document
from touge.contract.recipe import Recipe

Family = Literal["gpu-feature-discovery", "karpenter", "eks", "coreweave", "gke"]
Gigabytes = Annotated[int, Field(ge=1)]

#: The heaviest preference that Kubernetes allows; each further step towards a larger card weighs half.
_HEAVIEST = 100
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


class MemoryRange(Document):
    """Memory of one GPU, decimal GB as on the box."""

    min: Gigabytes | None = Field(None, description="null: what the method needs; a recipe's own figure goes before it")
    max: Gigabytes | None = Field(None, description="no larger card, which also steers autoscalers")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min and self.max and self.min > self.max:
            raise ValueError(f"min {self.min} must be at most max {self.max}")
        return self


class Toleration(Document):
    """A taint that the pods put up with (Kubernetes' Toleration)."""

    key: str | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: int | None = Field(None, alias="tolerationSeconds")

    def rendered(self) -> dict[str, Any]:
        """Return it as part of a manifest."""
        return self.model_dump(by_alias=True, exclude_none=True)


class DynamicAllocation(Document):
    """GPUs claimed from a driver (dynamic resource allocation) instead of counted by a device plugin."""

    device_class: str = Field("gpu.nvidia.com", alias="deviceClass")
    domain: str = Field("gpu.nvidia.com", description="under which the driver publishes memory and driverVersion")


class Placement(Document):
    """What the platform says about the GPU nodes of one method; the chart writes it into the method's template."""

    labels: tuple[Family | MemoryLabel, ...] = Field(
        get_args(Family), min_length=1, description="families of node labels that this cluster has, or own labels"
    )
    gpu_memory: MemoryRange = Field(MemoryRange(), alias="gpuMemory")
    shared: bool = Field(False, description="whether a GPU shared by time-slicing or MPS will do")
    driver: int | None = Field(TABLE.driver.minimum, ge=1, description="oldest driver branch; null: any")
    resource: str = Field("nvidia.com/gpu", min_length=1, description="what a GPU is called among a node's resources")
    tolerations: tuple[Toleration, ...] = (Toleration(key="nvidia.com/gpu", operator="Exists", effect="NoSchedule"),)
    node_selector: Mapping[str, str] = Field({}, alias="nodeSelector")
    affinity: dict[str, Any] | None = Field(
        None, description="a whole Kubernetes affinity instead of the computed one, where no label tells the memory"
    )
    dynamic_allocation: DynamicAllocation | None = Field(None, alias="dynamicAllocation")


@dataclass(frozen=True, slots=True)
class Need:
    """What one pod asks of a node.

    Args:
        gigabytes: Memory of one GPU, decimal GB.
        gpus: GPUs of the pod.
        nodes: Pods that work together.
    """

    gigabytes: int
    gpus: int = 1
    nodes: int = 1

    @property
    def alone(self) -> bool:
        """Whether one GPU does all the work: NCCL takes neither slices nor one card twice."""
        return self.gpus * self.nodes == 1


def need_of(stage: str, recipe: Recipe, placement: Placement) -> Need | None:
    """Return what each pod of a stage asks of a node, or None where it needs no GPU."""
    gigabytes = needed_gb(stage, recipe)
    if gigabytes is None:
        return None
    if recipe.resources.gpu_memory is None:
        gigabytes = placement.gpu_memory.min or gigabytes
    if stage != "train":
        return Need(gigabytes)
    return Need(gigabytes, recipe.resources.gpus or 1, recipe.resources.nodes)


def node_affinity(need: Need, placement: Placement) -> dict[str, Any]:
    """Return the computed node affinity: required terms, and preferences where they are safe.

    The required terms are alternatives that mean the same on different platforms. A provisioner that does not know a
    label drops that term and tries the next, so scale-from-zero works too. Karpenter drops alternatives before
    preferences and never provisions when there are several of each, so preferences towards the smallest fitting card
    come only with a single family.

    Raises:
        SettingsError: If no node could ever match.
    """
    labels, (low, high) = _labels(placement), memory_range(need, placement)
    terms = [(*told, *_guards(label, need, placement)) for label in labels if (told := label.between(low, high))]
    if not terms:
        raise SettingsError(_no_card(placement, low, high))
    affinity: dict[str, Any] = {_REQUIRED: {"nodeSelectorTerms": [_term(term) for term in terms]}}
    if preferences := _preferences(labels[0], low, high) if len(labels) == 1 else []:
        affinity[_PREFERRED] = preferences
    return affinity


def memory_range(need: Need, placement: Placement) -> tuple[int, int | None]:
    """Return the least and the most memory that one GPU may have, decimal GB.

    Raises:
        SettingsError: If the platform's ceiling is below the need.
    """
    low, high = need.gigabytes, placement.gpu_memory.max
    if high is not None and high < low:
        raise SettingsError(
            f"placement: a GPU of at least {low} GB is asked for, and gpuMemory.max of the template is {high}. "
            "Raise it, or ask for less by resources.gpu_memory"
        )
    return low, high


def _labels(placement: Placement) -> list[MemoryLabel | CardLabel]:
    return [TABLE.families[label] if isinstance(label, str) else label for label in placement.labels]


def _guards(label: MemoryLabel | CardLabel, need: Need, placement: Placement) -> tuple[Expression, ...]:
    """Return what must not be true of a node, as far as the need cares."""
    guards = TABLE.guards
    shared = () if placement.shared and need.alone else guards.shared
    sliced = () if label.tells_slices and need.alone else guards.sliced
    driver = TABLE.driver.at_least(placement.driver) if placement.driver else ()
    return (*shared, *guards.partitioned, *sliced, *driver)


def _preferences(label: MemoryLabel | CardLabel, low: int, high: int | None) -> list[dict[str, Any]]:
    """Return nested preferences: the smaller the card, the more of them it meets."""
    sizes = [size for size in TABLE.card_sizes if low <= size and (high is None or size < high)]
    met = [told for size in sizes if (told := label.between(low, size))]
    return [
        {"weight": max(1, _HEAVIEST >> step), "preference": _term(expressions)} for step, expressions in enumerate(met)
    ]


def _term(expressions: tuple[Expression, ...]) -> dict[str, Any]:
    return {"matchExpressions": [expression.rendered() for expression in expressions]}


def _no_card(placement: Placement, low: int, high: int | None) -> str:
    names = ", ".join(label if isinstance(label, str) else label.key for label in placement.labels)
    limit = f" and at most {high} GB" if high else ""
    return (
        f"placement: a GPU of at least {low} GB{limit} is asked for, and no card known by placement.labels ({names}) "
        "is one. Name another family, or give the method's affinity"
    )
