"""Frozen modules whose weights stay in the host's memory and visit the device for a pass.

The copy that stays is pinned, so that a visit runs at the full rate of the bus; nothing is ever written back. Weights
come one by one: a device without much memory seldom has a gigabyte in one piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Guest:
    """A frozen module that lives on the host; only parameters move, buffers stay where they are.

    Args:
        module: On its device. Its parameters move to the host.
    """

    def __init__(self, module: nn.Module) -> None:
        self._parameters = list(module.parameters())
        self._device = self._parameters[0].device
        self._home = _pinned(torch.cat([p.detach().flatten().cpu() for p in self._parameters]))
        self._stay()

    @contextmanager
    def visiting(self) -> Iterator[None]:
        """Have the module on its device inside the block."""
        for parameter in self._parameters:
            parameter.data = parameter.data.to(self._device, non_blocking=True)
        try:
            yield
        finally:
            self._stay()

    def _stay(self) -> None:
        sizes = [p.numel() for p in self._parameters]
        for parameter, part in zip(self._parameters, self._home.split(sizes), strict=True):
            parameter.data = part.view(parameter.shape)


def settle(parameter: nn.Parameter) -> None:
    """Move a parameter to the host for good."""
    parameter.data = _pinned(parameter.data.cpu())


def _pinned(tensor: Tensor) -> Tensor:
    return tensor.pin_memory() if torch.cuda.is_available() else tensor
