"""What a frozen vision tower says of each sample, computed once and kept in memory where it fits.

At full size a sample's features are some 94 MB, so they are computed live; a tiny model's whole data set fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch

from touge.alpamayo.batch import Batch, VisionFeatures
from touge.alpamayo.model import AlpamayoR1
from touge.training.inputs import Inputs

KEPT_BYTES = 1 << 30
#: Samples of one pass, always the same ones together: their last bits do not depend on where a training resumes.
GROUP = 16


@dataclass(frozen=True, slots=True)
class FeatureCache:
    """Vision features by sample number, on the CPU."""

    features: dict[int, VisionFeatures]

    def attach(self, batch: Batch, indices: Sequence[int]) -> Batch:
        """Return the batch with its samples' features in place of pixels."""
        chosen = [self.features[index] for index in indices]
        levels = zip(*(one.deepstack for one in chosen), strict=True)
        joined = VisionFeatures(
            torch.cat([one.embeddings for one in chosen]), tuple(torch.cat(level) for level in levels)
        )
        return replace(batch, pixels=None, features=joined)


@torch.no_grad()
def compute_features(
    model: AlpamayoR1,
    inputs: Inputs,
    needed: Iterable[int],
    *,
    device: torch.device,
    stopping: Callable[[], bool],
    limit: int = KEPT_BYTES,
) -> FeatureCache | None:
    """Run the vision tower over the groups that hold the needed samples.

    Returns:
        None where the features of all samples would take more than `limit` bytes, or when asked to stop.
    """
    features: dict[int, VisionFeatures] = {}
    count = len(inputs.samples.rows)
    if _expected_bytes(model, inputs) * count > limit:
        return None
    for group in sorted({index // GROUP for index in needed}):
        indices = range(group * GROUP, min(count, (group + 1) * GROUP))
        features |= dict(zip(indices, _encode(model, inputs.questions(indices), device), strict=True))
        if stopping():
            return None
    return FeatureCache(features)


def _encode(model: AlpamayoR1, batch: Batch, device: torch.device) -> list[VisionFeatures]:
    """Return the features of each sample of a batch."""
    if batch.pixels is None:
        raise ValueError("the batch has no pixels")
    together = model.encode_images(batch.pixels.to(device), batch.grid.to(device))
    counts = (batch.input_ids == model.vocabulary.image).sum(dim=1).tolist()
    parts = [level.cpu().split(counts) for level in (together.embeddings, *together.deepstack)]
    return [VisionFeatures(first, tuple(rest)) for first, *rest in zip(*parts, strict=True)]


def _expected_bytes(model: AlpamayoR1, inputs: Inputs) -> int:
    """Return what the first sample's features take, without running a tower that may have no room for a group."""
    vision = model.config.backbone["vision_config"]
    tokens = int((inputs.questions([0]).input_ids == model.vocabulary.image).sum())
    levels = 1 + len(vision["deepstack_visual_indexes"])
    size = next(model.vlm.model.visual.parameters()).element_size()
    return tokens * levels * int(vision["out_hidden_size"]) * size
