"""Progress of stages from the reports of their executions."""

from __future__ import annotations

import pytest

from controller.cli.progress import duration, stage_progress
from controller.state import StageStatus, State
from touge.contract.progress import Progress

SECOND = 1_000_000


def stage(name="train", state=State.RUNNING, **fields):
    return StageStatus(name=name, id="i", state=state, **fields)


def report(done, total=100, seconds=10, **metrics):
    return Progress(done=done, total=total, unit="step", started_us=0, updated_us=seconds * SECOND, metrics=metrics)


def test_a_stage_that_waits_has_no_progress():
    assert stage_progress([stage(state=State.QUEUED)], {}) == {}


def test_time_left_is_at_the_pace_so_far():
    shown = stage_progress([stage()], {"train": [report(20, loss=0.5)]})["train"]

    assert (shown.share, shown.eta_s) == (0.2, 40)
    assert shown.text == "20/100 step, loss 0.5, 40 s left"


def test_shards_count_as_one_stage():
    shown = stage_progress(
        [stage("curate-map", done=1, shards=4)], {"curate-map": [report(50), report(100, seconds=5)]}
    )

    assert shown["curate-map"].share == (1 + 0.5 + 1) / 4


def test_a_shard_that_is_committed_and_about_to_end_counts_once():
    shown = stage_progress([stage("evaluate-map", done=1, shards=2)], {"evaluate-map": [report(100), report(40)]})

    assert shown["evaluate-map"].share == (1 + 0.4) / 2


def test_what_succeeded_is_whole():
    assert stage_progress([stage(state=State.SUCCEEDED)], {})["train"].share == 1


@pytest.mark.parametrize(("seconds", "said"), [(12, "12 s"), (600, "10 min"), (7200, "2.0 h")])
def test_durations_read_as_people_say_them(seconds, said):
    assert duration(seconds) == said
