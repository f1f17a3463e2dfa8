"""An inventory: what a drives URI held when the plan was made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Self

from pydantic import Field

from touge.contract.identity import digest
from touge.contract.model import Document


class InventoryItem(Document):
    """One object: key relative to the URI, size in bytes, sha256 or the store's entity tag."""

    key: str
    size: int
    tag: str


class Inventory(Document):
    """All objects below a URI, sorted by key."""

    schema_version: Literal["touge.inventory/1"] = Field("touge.inventory/1", alias="schema")
    uri: str
    items: tuple[InventoryItem, ...]

    @classmethod
    def of(cls, uri: str, items: Iterable[InventoryItem]) -> Self:
        """Return the inventory of `uri` with its items in key order."""
        return cls(uri=uri, items=tuple(sorted(items, key=lambda item: item.key)))

    @property
    def digest(self) -> str:
        """sha256 over the items: the same content at another address is the same content."""
        return digest([item.model_dump() for item in self.items])
