"""Nodes and a need -> which nodes fit now, and what the others lack. Pure.

A hint and never a gate: a node pool scaled to zero has no nodes yet. It judges labels as the scheduler does and knows
nothing of what else runs on a node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.placement.affinity import Need, Placement
from controller.placement.hardware import GB, TABLE, CardLabel, MemoryLabel

Object = dict[str, Any]

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A pod that is to be placed: its spec, what it needs of a GPU, and what the platform says."""

    pod: Mapping[str, Any]
    need: Need | None
    placement: Placement


def fitting(nodes: Sequence[Object], wanted: Wanted) -> list[str]:
    """Return the names of the nodes whose labels and size fit."""
    return [node["metadata"]["name"] for node in nodes if _fits(node, wanted)]


def unmet(nodes: Sequence[Object], wanted: Wanted) -> str:
    """Return what no node here has; empty where one fits, so that it must be busy or tainted."""
    if fitting(nodes, wanted):
        return ""
    need = wanted.need
    if need is None:
        return f"none of the {len(nodes)} nodes here fits the template's nodeSelector and affinity"
    asked = f"needs {_gpus(need)} with >= {need.gigabytes} GB"
    cards = {node["metadata"]["name"]: size for node in nodes if (size := gigabytes(node, wanted.placement))}
    if not cards:
        return f"{asked}; no node here tells by a label how much GPU memory it has. `kubectl get nodes --show-labels`"
    largest = max(cards.values())
    if largest < need.gigabytes:
        return f"{asked}; the largest here has {largest} GB"
    most = max(
        _count(node, wanted.placement) for node in nodes if cards.get(node["metadata"]["name"], 0) >= need.gigabytes
    )
    if most < need.gpus:
        return f"{asked} in one node; the most here is {most}"
    return f"{asked}; the nodes here that have it are shared, sliced, too old a driver, or outside the node selector"


def gigabytes(node: Object, placement: Placement) -> int | None:
    """Return the memory of one GPU of a node as on the box, decimal GB; None where no label tells it."""
    labels = _labels(node)
    for given in placement.labels:
        family = TABLE.families[given] if isinstance(given, str) else given
        if (size := _size(family, labels.get(family.key))) is not None:
            return size
    return None


def _size(family: MemoryLabel | CardLabel, value: str | None) -> int | None:
    if isinstance(family, CardLabel):
        return family.cards.get(value or "")
    if not (value or "").isdigit():
        return None
    told, unit = int(value or 0), family.bytes_per_unit
    return max((size for size in TABLE.card_sizes if size * GB // unit <= told), default=told * unit // GB)


def _gpus(need: Need) -> str:
    return "a GPU" if need.gpus == 1 else f"{need.gpus} GPUs"


def _count(node: Object, placement: Placement) -> int:
    return int(node.get("status", {}).get("allocatable", {}).get(placement.resource, 0))


def _fits(node: Object, wanted: Wanted) -> bool:
    labels = _labels(node)
    selector = wanted.pod.get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in selector.items()) or node["spec"].get("unschedulable"):
        return False
    if (
        wanted.need
        and wanted.placement.dynamic_allocation is None
        and _count(node, wanted.placement) < wanted.need.gpus
    ):
        return False
    affinity = (wanted.pod.get("affinity") or {}).get("nodeAffinity") or {}
    terms = (affinity.get(_REQUIRED) or {}).get("nodeSelectorTerms")
    return terms is None or any(_meets(term, labels) for term in terms)


def _labels(node: Object) -> Mapping[str, str]:
    labels: Mapping[str, str] = node["metadata"].get("labels") or {}
    return labels


def _meets(term: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    return all(_holds(expression, labels.get(expression["key"])) for expression in term.get("matchExpressions") or ())


def _holds(expression: Mapping[str, Any], value: str | None) -> bool:
    values = expression.get("values") or []
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return _compares(expression["operator"], value, int(values[0]))


def _compares(operator: str, value: str | None, bound: int) -> bool:
    if not (value or "").isdigit():
        return False
    return int(value or 0) > bound if operator == "Gt" else int(value or 0) < bound
