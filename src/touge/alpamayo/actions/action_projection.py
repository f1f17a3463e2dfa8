"""(Noisy action, time) -> expert embeddings: Fourier features, an MLP, a LayerNorm.

Names of parameters and buffers are those of the released checkpoint.

Shapes: R rows, T steps, 2 action dimensions, F features each, E expert width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from touge.alpamayo.config import ActionProjectionConfig
from touge.alpamayo.layers.exact import KeepsFloat32, real_device


class ActionProjection(nn.Module):
    """Embeds one noisy action step and its time.

    Args:
        config: Sizes and frequencies.
        dims: Numbers per step.
        width: Expert width.
        dtype: Type in which the frequencies are formed, as the reference does under bfloat16.
    """

    def __init__(
        self, config: ActionProjectionConfig, dims: int, width: int, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        features = config.num_fourier_feats
        self.sinus = nn.ModuleList(_Fourier(features, config.max_freq, dtype) for _ in range(dims))
        self.timestep_fourier_encoder = _Fourier(features, config.max_freq, dtype)
        self.encoder = _Encoder((dims + 1) * features, config.hidden_size, width, config.num_enc_layers)
        self.norm = nn.LayerNorm(width)

    def forward(self, action: Tensor, time: Tensor) -> Tensor:
        """Return [R, T, E] for actions [R, T, 2] and times [R] in [0, 1]."""
        parts = [fourier(action[..., i]) for i, fourier in enumerate(self.sinus)]
        when = self.timestep_fourier_encoder(time)[:, None].expand(-1, action.shape[1], -1)
        features = torch.cat([*parts, when], dim=-1)
        embedded: Tensor = self.norm(self.encoder(features.to(self.norm.weight.dtype)))
        return embedded


class _Fourier(KeepsFloat32):
    """sqrt 2 (sin, cos)(2 pi f x), f log-spaced from 1 to `max_freq`; float32 whatever the module's type."""

    freqs: Tensor

    def __init__(self, features: int, max_freq: float, dtype: torch.dtype) -> None:
        super().__init__()
        freqs = torch.logspace(0, math.log10(max_freq), steps=features // 2, dtype=dtype, device=real_device())
        self.register_buffer("freqs", freqs.float()[None])

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., F] for [...]."""
        phase = x.float()[..., None] * self.freqs[0] * 2 * math.pi  # the order of the reference: decision 002
        return math.sqrt(2) * torch.cat([phase.sin(), phase.cos()], dim=-1)


class _Encoder(nn.Module):
    """Linear, SiLU, then blocks of RMSNorm, Linear, SiLU; the last without SiLU."""

    def __init__(self, inputs: int, hidden: int, outputs: int, blocks: int) -> None:
        super().__init__()
        trunk: list[nn.Module] = [nn.Linear(inputs, hidden), nn.SiLU()]
        for index in range(blocks):
            last = index == blocks - 1
            trunk += [nn.RMSNorm(hidden, eps=1e-5), nn.Linear(hidden, outputs if last else hidden)]
            trunk += [] if last else [nn.SiLU()]
        self.trunk = nn.Sequential(*trunk)

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., outputs] for [..., inputs]."""
        y: Tensor = self.trunk(x)
        return y
