"""Which windows are shown."""

import numpy as np

from touge.evaluation.gallery import choose
from touge.evaluation.windows import Windows

from .worlds import material


def test_each_group_shows_its_best_median_and_worst_change():
    whole = material(drives=8)
    windows = Windows.of(whole.samples, list(whole.predictions.values()))
    left = np.flatnonzero(windows.buckets()["curve_left"])
    base, tuned = np.full(len(windows.samples), 5.0), np.full(len(windows.samples), 4.0)
    tuned[left[3]], tuned[left[5]] = 0.0, 9.0

    picks = {pick.why: pick.index for pick in choose(windows, base, tuned)}

    assert picks["left curve, most improved"] == left[3]
    assert picks["left curve, least improved"] == left[5]
    assert len(picks) == 9


def test_a_group_of_one_window_is_shown_once():
    whole = material(drives=1)
    windows = Windows.of(whole.samples[:1], list(whole.predictions.values()))

    assert [pick.index for pick in choose(windows, np.ones(1), np.ones(1))] == [0]
