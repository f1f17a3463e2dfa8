"""Bins of history and future: numbers onto indices that count from 0, and back. Pure.

Shapes: B rows, T = 64 future steps, N = 16 history poses.
"""

from __future__ import annotations

import torch
from torch import Tensor

from touge.alpamayo.config import FutureTokensConfig, HistoryTokensConfig


def future_bins(action: Tensor, config: FutureTokensConfig) -> Tensor:
    """Return indices [B, T * 2], step by step, of normalised actions [B, T, 2]; what lies outside is clamped."""
    return _bins(action, config.dims_min, config.dims_max, config.num_bins)


def history_bins(xyz: Tensor, config: HistoryTokensConfig) -> Tensor:
    """Return indices [B, N * 3] of the steps between positions [B, N, 3]; the first is taken against the origin."""
    steps = torch.diff(xyz, dim=1, prepend=torch.zeros_like(xyz[:, :1]))
    return _bins(steps, config.ego_xyz_min, config.ego_xyz_max, config.num_bins)


def action_of(indices: Tensor, config: FutureTokensConfig) -> Tensor:
    """Return the normalised actions [B, T, 2] at the bins' centres of indices [B, T * 2]."""
    low, high = (torch.tensor(bound, device=indices.device) for bound in (config.dims_min, config.dims_max))
    return indices.unflatten(1, (-1, len(config.dims_min))) / (config.num_bins - 1) * (high - low) + low


def _bins(values: Tensor, lowest: tuple[float, ...], highest: tuple[float, ...], count: int) -> Tensor:
    low, high = values.new_tensor(lowest), values.new_tensor(highest)
    scaled = (values - low) / (high - low) * (count - 1)
    return scaled.round().long().clamp(0, count - 1).flatten(1)
