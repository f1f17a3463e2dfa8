"""Nucleus sampling (Holtzman et al. 2019, arXiv 1904.09751) by inverting the sums of what is left."""

from __future__ import annotations

import torch
from torch import Tensor


def nucleus_draw(probabilities: Tensor, top_p: float, thrown: Tensor) -> Tensor:
    """Draw a token for each row from the smallest set of its tokens that holds `top_p` of the probability.

    The likeliest tokens come first: small numbers draw them, so that equal luck means equal words in models that agree.

    Args:
        probabilities: [R, V].
        top_p: In (0, 1].
        thrown: [R] uniform numbers in [0, 1).

    Returns:
        [R] tokens.
    """
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    until = ordered.cumsum(dim=-1)
    last = (until - ordered < top_p).sum(dim=-1, keepdim=True) - 1
    place = torch.searchsorted(until, thrown[:, None] * until.gather(-1, last), right=True)
    return order.gather(-1, place.minimum(last)).squeeze(-1)
