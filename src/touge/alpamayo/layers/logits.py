"""Hidden states to logits, by products whose sizes tensor cores like.

The released table has 155,697 rows. cuBLAS multiplies by an odd number of rows, and back, without the fast kernels
(docs/decisions/008): the last rows are multiplied apart.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

_MULTIPLE = 8


def logits_of(head: nn.Linear, hidden: Tensor) -> Tensor:
    """Return [n, words] for [n, C]; a table that is trained, split over processes or float32 is multiplied whole."""
    weight, odd = head.weight, len(head.weight) % _MULTIPLE
    if not odd or weight.requires_grad or isinstance(weight, DTensor) or hidden.dtype == torch.float32:
        return head(hidden)
    parts = [nn.functional.linear(hidden, part) for part in weight.split([len(weight) - odd, odd])]
    if hidden.requires_grad:
        parts[0].register_hook(Tensor.contiguous)  # a slice of the whole's gradient would be as odd
    return torch.cat(parts, dim=-1)
