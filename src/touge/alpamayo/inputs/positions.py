"""Rotary positions of text and image tokens (Qwen3-VL's interleaved MRoPE: time, height, width).

Text advances all three by one; an image of h x w merged patches takes height and width from its grid and
advances by max(h, w) (arXiv 2409.12191, section 2.1). Computed once a sample, outside the training step.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


def rope_positions(is_image: npt.NDArray[np.bool_], grids: IntArray, merge: int) -> IntArray:
    """Return positions [3, L] of one unpadded sequence.

    Args:
        is_image: [L], true at image placeholders.
        grids: [images, 3]: frames, height, width of each image in patches.
        merge: Patches merged per side into one token.
    """
    positions = np.empty((3, len(is_image)), np.int64)
    column = following = 0
    for frames, height, width in grids:
        start = column + int(np.argmax(is_image[column:]))
        following = _text(positions, column, start, following)
        h, w = int(height) // merge, int(width) // merge
        column = start + int(frames) * h * w
        positions[:, start:column] = np.indices((int(frames), h, w)).reshape(3, -1) + following
        following += max(h, w)
    _text(positions, column, len(is_image), following)
    return positions


def _text(positions: IntArray, start: int, end: int, first: int) -> int:
    """Count columns start…end from `first`; return the next position."""
    positions[:, start:end] = np.arange(first, first + end - start)
    return first + end - start
