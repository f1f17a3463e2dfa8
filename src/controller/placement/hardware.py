"""Methods, node labels and cards: `placement.yaml`, typed.

First step of placement: a range of GPU memory in, what a node label must say out. Pure, but for reading
that one file at import; it knows no cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Literal

import yaml
from pydantic import Field

from touge.contract.model import Document

#: A card sold as N GB tells between N decimal and N binary gigabytes: an L4 22,888 MiB, an RTX 4090 24,564 MiB.
GB, GIB = 10**9, 2**30


class Expression(Document):
    """One requirement of a node, as Kubernetes writes it (NodeSelectorRequirement)."""

    key: str
    operator: Literal["In", "NotIn", "DoesNotExist", "Gt", "Lt"]
    values: tuple[str, ...] = ()

    def rendered(self) -> dict[str, Any]:
        """Return it as part of a manifest."""
        return {"key": self.key, "operator": self.operator} | ({"values": list(self.values)} if self.values else {})


class MemoryLabel(Document):
    """A node label that tells one GPU's memory as a whole number."""

    key: str
    bytes_per_unit: int = Field(alias="bytesPerUnit", ge=1)
    tells_slices: bool = Field(False, alias="tellsSlices", description="of a MIG slice it tells the slice's memory")

    def between(self, low: int, high: int | None) -> tuple[Expression, ...]:
        """Return 'sold with at least `low` and at most `high`', decimal GB.

        Kubernetes compares whole numbers by strict `Gt` and `Lt` only. The lower bound is rounded down to the
        label's unit: 80 GB is 76,293 MiB.
        """
        least = Expression(key=self.key, operator="Gt", values=(str(low * GB // self.bytes_per_unit - 1),))
        if high is None:
            return (least,)
        return least, Expression(key=self.key, operator="Lt", values=(str(high * GIB // self.bytes_per_unit + 1),))


class CardLabel(Document):
    """A node label that names the card."""

    key: str
    cards: Mapping[str, int] = Field(description="decimal GB by name")
    tells_slices: Literal[False] = Field(False, alias="tellsSlices")

    def between(self, low: int, high: int | None) -> tuple[Expression, ...]:
        """Return 'one of the cards from `low` to `high`', decimal GB; nothing where there is none."""
        names = [card for card, size in self.cards.items() if low <= size and (high is None or size <= high)]
        return (Expression(key=self.key, operator="In", values=tuple(names)),) if names else ()


class Method(Document):
    """What a training method needs."""

    gpu_memory: int = Field(alias="gpuMemory", description="of one GPU, decimal GB")
    grace_seconds: int = Field(alias="graceSeconds", description="from SIGTERM to SIGKILL, for a checkpoint")


class Guards(Document):
    """What must not be true of a node."""

    shared: tuple[Expression, ...]
    partitioned: tuple[Expression, ...]
    sliced: tuple[Expression, ...]


class Driver(Document):
    """How old the GPU's driver may be."""

    key: str
    minimum: int
    branches: tuple[int, ...]

    def at_least(self, major: int) -> tuple[Expression, ...]:
        """Return 'not known to be older than `major`'; nothing where no branch is older."""
        older = tuple(str(branch) for branch in self.branches if branch < major)
        return (Expression(key=self.key, operator="NotIn", values=older),) if older else ()


class Table(Document):
    """The whole of `placement.yaml`."""

    methods: Mapping[str, Method]
    families: Mapping[str, MemoryLabel | CardLabel]
    card_sizes: tuple[int, ...] = Field(alias="cardSizes")
    guards: Guards
    driver: Driver


TABLE = Table.model_validate(
    yaml.safe_load(files("controller.placement").joinpath("placement.yaml").read_text("utf-8"))
)
