"""Which windows of the test split the models are asked about, where a recipe bounds how many. Pure.

Windows of one drive overlap and say much the same; intervals follow from the number of drives. So of a long drive some
windows of each bucket are enough, and the time is better spent on more drives.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from touge.contract.sample import Sample
from touge.motion.labels import report_bucket


def selected(samples: Iterable[Sample], per_drive: int | None) -> list[Sample]:
    """Return the test windows that count, in the order of the samples.

    Args:
        samples: Rows of every split.
        per_drive: Windows of each bucket of a drive, at most; None for all.
    """
    test = [sample for sample in samples if sample.split == "test"]
    if per_drive is None:
        return test
    alike: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for sample in sorted(test, key=lambda sample: sample.t0_us):
        alike[sample.drive, str(report_bucket(sample.label))].append(sample)
    chosen = {sample.id for windows in alike.values() for sample in spaced(windows, per_drive)}
    return [sample for sample in test if sample.id in chosen]


def spaced(windows: Sequence[Sample], most: int) -> list[Sample]:
    """Return at most so many windows: each the one in the middle of an equal part of all."""
    if len(windows) <= most:
        return list(windows)
    places = (np.arange(most) + 0.5) * len(windows) / most
    return [windows[place] for place in places.astype(int)]
