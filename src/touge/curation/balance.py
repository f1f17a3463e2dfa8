"""The mix of the training split: how often a straight window comes, against all others.

Pure, and only ever for training: validation and test are never weighted. Weights instead of thinning: of too many
straight windows each comes in some epochs only, of too few each comes several times, and none is thrown away.
"""

from __future__ import annotations


def straight_weight(straight: int, others: int, share: float | None) -> tuple[float, float]:
    """Return the weights of straight windows and of all others that make straight ones `share` of an epoch.

    Other windows weigh 1, so an epoch sees each of them once. With a share of 1 they weigh 0.

    Args:
        straight: Straight windows of the training split.
        others: All its other windows.
        share: Wanted share; None keeps the mix as it is. Without windows of both kinds nothing is weighed.
    """
    if share is None or not straight or not others:
        return 1.0, 1.0
    if share == 1.0:
        return 1.0, 0.0
    return others * share / (1.0 - share) / straight, 1.0
