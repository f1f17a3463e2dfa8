"""What a frozen vision tower says of each sample, computed once and kept in memory where it fits.

At full size a sample's features are some 94 MB, so they are computed live; a tiny model's whole data set fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from touge.alpamayo.inputs.batch import Batch, VisionFeatures
from touge.alpamayo.model import AlpamayoR1
from touge.training.inputs import Inputs
from touge.training.ranks import Ranks

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
    ranks: Ranks,
    stopping: Callable[[], bool],
    limit: int = KEPT_BYTES,
) -> FeatureCache | None:
    """Run the vision tower over the groups that hold the needed samples; the ranks share the work.

    Args:
        model: With its vision tower on the ranks' device.
        inputs: Rows and pictures.
        needed: Samples, the same on every rank.
        ranks: This process and its peers.
        stopping: Ends the work early.
        limit: Of what is kept, bytes.

    Returns:
        None where the features of all samples would take more than `limit` bytes, or when a rank was asked to stop.
    """
    mine: list[_Group] = []
    count = len(inputs.samples.rows)
    if _expected_bytes(model, inputs) * count > limit:
        return None
    needed = set(needed)
    for group in sorted({index // GROUP for index in needed})[ranks.index :: ranks.count]:
        if stopping():
            break
        indices = range(group * GROUP, min(count, (group + 1) * GROUP))
        mine.append(_encode(model, inputs.questions(indices), indices, ranks.device))
    features = {index: one for group in ranks.join(mine) for index, one in group.by_sample()}
    return FeatureCache(features) if features.keys() >= needed else None


@dataclass(frozen=True, slots=True)
class _Group:
    """Samples of one pass, as ranks hand them over: embeddings and deepstack levels, and the tokens of each sample."""

    indices: Sequence[int]
    tokens: list[int]
    levels: tuple[Tensor, ...]

    def by_sample(self) -> Iterator[tuple[int, VisionFeatures]]:
        """Yield each sample's number and features."""
        parts = zip(*(level.split(self.tokens) for level in self.levels), strict=True)
        for index, (embeddings, *deepstack) in zip(self.indices, parts, strict=True):
            yield index, VisionFeatures(embeddings, tuple(deepstack))


def _encode(model: AlpamayoR1, batch: Batch, indices: Sequence[int], device: torch.device) -> _Group:
    """Run the vision tower over a batch."""
    if batch.pixels is None:
        raise ValueError("the batch has no pixels")
    together = model.encode_images(batch.pixels.to(device), batch.grid.to(device))
    tokens = (batch.input_ids == model.vocabulary.image).sum(dim=1).tolist()
    return _Group(indices, tokens, tuple(level.cpu() for level in (together.embeddings, *together.deepstack)))


def _expected_bytes(model: AlpamayoR1, inputs: Inputs) -> int:
    """Return what the first sample's features take, without running a tower that may have no room for a group."""
    vision = model.config.backbone["vision_config"]
    tokens = int((inputs.questions([0]).input_ids == model.vocabulary.image).sum())
    levels = 1 + len(vision["deepstack_visual_indexes"])
    size = next(model.vlm.model.visual.parameters()).element_size()
    return tokens * levels * int(vision["out_hidden_size"]) * size
