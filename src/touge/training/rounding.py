"""float32 to bfloat16 by chance: the nearer neighbour is the likelier one, so that sums of small steps arrive.

A bfloat16 weight has 8 significant bits: of steps of 1e-5 on a weight of 0.02 the nearest number takes none at all,
chance takes each at its expected size.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: A bfloat16 number is the upper half of a float32 one.
_LOWER_HALF = 1 << 16


def round_into(target: Tensor, value: Tensor, dice: torch.Generator) -> None:
    """Write float32 numbers into bfloat16 ones, each to a neighbour whose expected value is the number.

    Args:
        target: bfloat16.
        value: float32, of the same shape; it is scratch and does not keep its numbers.
        dice: Of the same device.
    """
    bits = value.view(torch.int32)
    bits += torch.randint(_LOWER_HALF, bits.shape, generator=dice, device=bits.device, dtype=torch.int32)
    bits &= -_LOWER_HALF
    target.copy_(value)
