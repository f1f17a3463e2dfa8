"""Buffers that stay float32 whatever type their module is moved to.

A rotary frequency cast to bfloat16 is wrong by 0.9 rad at position 1000; normalisation and Fourier constants
suffer likewise. `.to(bfloat16)` on any parent must not touch them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn


def real_device() -> torch.device:
    """Return the default device, but the CPU where models are built without memory: no file fills what is exact."""
    device = torch.get_default_device()
    return torch.device("cpu") if device.type == "meta" else device


class KeepsFloat32(nn.Module):
    """Follows moves between devices, refuses changes of type, for its buffers and those below it."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:  # noqa: FBT001, FBT002 - torch's
        before = dict(self.named_buffers())
        super()._apply(fn, recurse)
        for name, exact in before.items():
            owner, _, leaf = name.rpartition(".")
            module = self.get_submodule(owner)
            moved = module._buffers[leaf]  # noqa: SLF001 - torch's own store of buffers
            if moved is not None and moved.dtype != exact.dtype:
                module._buffers[leaf] = exact.to(moved.device)  # noqa: SLF001
        return self


class ExactRotary(KeepsFloat32):
    """A rotary embedding of transformers whose frequencies stay exact.

    No checkpoint carries them: they are formed anew, also where the rest of the model is built on the meta device.

    Args:
        inner: The embedding that is replaced by its like.
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        with real_device():
            self.inner: nn.Module = type(inner)(inner.config)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return (cos, sin) of the inner embedding."""
        return self.inner(*args, **kwargs)
