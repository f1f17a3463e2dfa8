"""How likely a model finds the reasoning of straight windows: whether tuning on curves made it forget how to think.

Measured by `rollout` on text of the data set, or, where that has none, on the base model's own words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from touge.contract.model import Document
from touge.evaluation.windows import Windows


class Likelihood(Document):
    """Of one window's reasoning: summed negative log-likelihood in nats under each model, and how many tokens."""

    id: str
    source: Literal["dataset", "base"]
    tokens: int = Field(gt=0)
    nll: dict[str, float]


def terms(windows: Windows, measured: Mapping[str, Likelihood], model: str) -> NDArray[np.float64]:
    """Return [N, 2] nats and tokens, so that their ratio is the cross-entropy; 0, 0 where it was not measured."""
    found = [measured.get(sample.id) for sample in windows.samples]
    return np.array([(one.nll[model], one.tokens) if one and model in one.nll else (0.0, 0.0) for one in found])
