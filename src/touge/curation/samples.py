"""What both makers of samples share: the rules of a recipe, what becomes of a window, and the row itself.

`recorded` makes samples of drives, `brought` of rows made elsewhere; both end here, so that both are judged alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from touge.contract.recipe import Curate
from touge.contract.recipe import Image as Bounds
from touge.contract.sample import Sample
from touge.curation.quality import PictureReason, Rejection
from touge.curation.reasoning import Words, contradiction
from touge.motion.definitions import definition
from touge.motion.features import features
from touge.motion.labels import LabelDefinition

Floats = npt.NDArray[np.float64]

#: Decimals of stored metres, radians and features: a micrometre.
DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Rules:
    """What a recipe asks of every window.

    Attributes:
        cameras: That a sample must have.
        stride_s: Distance of two windows.
        bounds: Of the model's input size, pixels.
        definition: Of labels.
        words: Where reasoning comes from.
        keep_contradictions: Whether words may contradict the future.
    """

    cameras: tuple[str, ...]
    stride_s: float
    bounds: Bounds
    definition: LabelDefinition
    words: Words
    keep_contradictions: bool

    @classmethod
    def of(cls, curate: Curate) -> Self:
        """Return the rules of a recipe's section; raises RecipeError for an unknown label definition."""
        said = curate.reasoning
        return cls(
            cameras=curate.cameras,
            stride_s=curate.windows.stride_s,
            bounds=curate.image,
            definition=definition(curate.labels),
            words=Words(said.straight, said.language, curate.seed, said.phrasings),
            keep_contradictions=curate.contradictions == "keep",
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one window.

    Attributes:
        drive: Its drive.
        t0_us: Its time.
        sample: The row, its split undecided; None if it was rejected.
        rejections: Why, the first one counts; empty if it was kept.
        contradicts: Whether it was kept although its words contradict its future.
    """

    drive: str
    t0_us: int
    sample: Sample | None
    rejections: tuple[Rejection, ...] = ()
    contradicts: bool = False

    @property
    def id(self) -> str:
        """Sample id."""
        return f"{self.drive}@{self.t0_us}"


def judged(sample: Sample, rules: Rules) -> Outcome:
    """Reject a sample whose words contradict its future, or keep and mark it, as the recipe says."""
    wrong = contradiction(sample.reasoning, sample.label, np.array(sample.future))
    if wrong is None or rules.keep_contradictions:
        return Outcome(sample.drive, sample.t0_us, sample, contradicts=wrong is not None)
    return Outcome(sample.drive, sample.t0_us, None, (Rejection(PictureReason.CONTRADICTION, wrong),))


def stored(values: Floats) -> Floats:
    """Return numbers as they are stored, so that features and labels can be computed again from the row."""
    return np.round(values, DECIMALS) + 0.0  # no minus zero


def stored_features(future: Floats) -> dict[str, float]:
    """Return the features of a future [64, 3] as they are stored."""
    return {name: round(value, DECIMALS) + 0.0 for name, value in features(future).to_dict().items()}
