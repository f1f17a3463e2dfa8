"""One prediction (`touge.prediction/1`): K rollouts of one sample, by touge or by any other code."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from touge.contract.model import Document
from touge.contract.sample import FUTURE_STEPS, Vector3


class Rollout(Document):
    """What the model said, and 64 poses x, y, yaw in the ego frame at t0."""

    reasoning: str
    trajectory: tuple[Vector3, ...] = Field(min_length=FUTURE_STEPS, max_length=FUTURE_STEPS)


class Prediction(Document):
    """All rollouts of one sample by one model."""

    schema_version: Literal["touge.prediction/1"] = Field("touge.prediction/1", alias="schema")
    id: str
    rollouts: tuple[Rollout, ...] = Field(min_length=1)
