"""The plan as data: ordered stages with content-addressed ids. Made by the controller, read by every container."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from touge.contract.errors import RecipeError
from touge.contract.inventory import Inventory
from touge.contract.model import Document
from touge.contract.recipe import Recipe

StageName = Literal["curate-map", "curate", "train", "evaluate-map", "evaluate"]

#: Stages in the order that data flows.
STAGE_NAMES: tuple[StageName, ...] = ("curate-map", "curate", "train", "evaluate-map", "evaluate")


class ResolvedModel(Document):
    """A model by content: where it lies and the digest that it must have."""

    uri: str
    digest: str


class InventoryRef(Document):
    """A drives URI with the digest of its inventory, which lies beside the run record."""

    uri: str
    digest: str
    objects: int
    size: int


class Stage(Document):
    """One stage: what it does (`section`), from what (`inputs`), and how many shards work on it."""

    name: StageName
    id: str
    shards: int = Field(1, ge=1, description="more than one only for the -map stages; not part of the id")
    section: dict[str, Any] = Field(description="resolved settings that decide the output")
    inputs: dict[str, str] = Field(description="role -> stage id, inventory digest or model digest")
    code: str = Field(description="code digest that the container must have")

    @property
    def mapped(self) -> bool:
        """Whether the stage runs as one execution a shard."""
        return self.name.endswith("-map")


class Plan(Document):
    """A recipe resolved to content."""

    schema_version: Literal["touge.plan/1"] = Field("touge.plan/1", alias="schema")
    run: str
    recipe: Recipe
    base: ResolvedModel
    backbone: ResolvedModel | None
    inventories: tuple[InventoryRef, ...]
    stages: tuple[Stage, ...]

    def stage(self, name: str) -> Stage:
        """Return the stage of this name.

        Raises:
            RecipeError: If the plan has none.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage
        known = ", ".join(stage.name for stage in self.stages)
        raise RecipeError(f"no stage {name!r}; the plan has {known}", source=f"plan of {self.run}")


class Resolved(Document):
    """What the names in a recipe stand for today: the planner's second input."""

    base: ResolvedModel
    backbone: ResolvedModel | None
    inventories: tuple[Inventory, ...]
