"""Progress of one execution: a small JSON object, written now and then, read by the controller."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from touge.contract.model import Document


class Progress(Document):
    """How far an execution is."""

    schema_version: Literal["touge.progress/1"] = Field("touge.progress/1", alias="schema")
    done: int = Field(ge=0)
    total: int = Field(ge=0)
    unit: str = Field(description="what is counted: step, drive, window")
    started_us: int
    updated_us: int
    metrics: dict[str, float] = {}

    @property
    def eta_s(self) -> float | None:
        """Seconds left at the pace so far, or None before there is a pace."""
        if not self.done or self.done > self.total:
            return None
        return (self.updated_us - self.started_us) / 1e6 / self.done * (self.total - self.done)
