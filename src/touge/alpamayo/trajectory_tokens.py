"""Bins of history and future: numbers onto trajectory-token indices, and back.

Indices count from `<i0>`: future bins are 0…num_bins-1, history bins follow after them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from touge.alpamayo.config import AlpamayoConfig


@dataclass(frozen=True, slots=True)
class Bins:
    """Equal bins per dimension: `low`…`high` onto 0…count-1, shifted by `offset`."""

    count: int
    low: tuple[float, ...]
    high: tuple[float, ...]
    offset: int = 0

    def indices(self, values: Tensor) -> Tensor:
        """Return the token indices [B, T * D] of values [B, T, D], step by step; what lies outside is clamped."""
        low, high = values.new_tensor(self.low), values.new_tensor(self.high)
        scaled = (values - low) / (high - low) * (self.count - 1)
        return scaled.round().long().clamp(0, self.count - 1).flatten(1) + self.offset

    def values(self, indices: Tensor) -> Tensor:
        """Return the values [B, T, D] at the bins' centres of token indices [B, T * D]."""
        low, high = torch.tensor(self.low, device=indices.device), torch.tensor(self.high, device=indices.device)
        steps = (indices - self.offset).unflatten(1, (-1, len(self.low)))
        return steps / (self.count - 1) * (high - low) + low


@dataclass(frozen=True, slots=True)
class TrajectoryTokens:
    """Both token makers of a model."""

    future_bins: Bins
    history_bins: Bins

    @classmethod
    def of(cls, config: AlpamayoConfig) -> Self:
        """Derive the bins from the configuration."""
        future, history = config.future_tokens, config.history_tokens
        return cls(
            Bins(future.num_bins, future.dims_min, future.dims_max),
            Bins(history.num_bins, history.ego_xyz_min, history.ego_xyz_max, offset=future.num_bins),
        )

    def future(self, action: Tensor) -> Tensor:
        """Return indices [B, 128] of normalised actions [B, 64, 2]."""
        return self.future_bins.indices(action)

    def history(self, xyz: Tensor) -> Tensor:
        """Return indices [B, 48] of the steps between positions [B, 16, 3]; the first is taken against the origin."""
        return self.history_bins.indices(torch.diff(xyz, dim=1, prepend=torch.zeros_like(xyz[:, :1])))

    def action(self, indices: Tensor) -> Tensor:
        """Return normalised actions [B, 64, 2] of future indices [B, 128]."""
        return self.future_bins.values(indices)
