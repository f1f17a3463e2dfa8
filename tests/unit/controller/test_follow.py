"""The loop of one run: it outlives a store or an API server that goes away for a while."""

from __future__ import annotations

from dataclasses import replace

import pytest
from steady_desk import new_run, steady_desk

from controller.archive import mark_cancelled
from controller.follow import follow, tick
from controller.state import State
from touge.contract.artifacts import cancelled_key
from touge.contract.errors import InfrastructureError, SettingsError

AWAY = InfrastructureError("no answer")
REFUSED = SettingsError("not allowed to get configmaps")


class Troubled:
    """A desk whose looks go as a script says: an error, or None for a look that goes well."""

    def __init__(self, folder, script) -> None:
        self.desk = replace(steady_desk(folder), pause_s=0.0001)
        self.run = new_run(self.desk, "a")
        self.script, self.shown = list(script), []
        self.desk.runner.slow = self._trouble

    def _trouble(self) -> None:
        if self.script and (error := self.script.pop(0)):
            raise error

    def follow(self):
        def watch(record):
            self.shown.append(record.status.state if record.status else None)

        return follow(self.desk, self.run, watch, lambda: not self.script)


@pytest.mark.parametrize("error", [AWAY, REFUSED])
def test_what_worked_a_moment_ago_is_tried_again(tmp_path, error):
    troubled = Troubled(tmp_path, [None, error, error, error, None])

    assert troubled.follow().status.state is State.RUNNING


def test_a_store_that_is_away_from_the_start_is_tried_again(tmp_path):
    assert Troubled(tmp_path, [AWAY, AWAY, None, None]).follow().status.state is State.RUNNING


def test_a_refusal_from_the_start_is_told_at_once(tmp_path):
    troubled = Troubled(tmp_path, [REFUSED, None])

    with pytest.raises(SettingsError, match="not allowed"):
        troubled.follow()
    assert troubled.script == [None]


@pytest.mark.parametrize("error", [AWAY, REFUSED])
def test_what_does_not_come_back_is_told_in_the_end(tmp_path, error):
    troubled = Troubled(tmp_path, [None, *[error] * 20])

    with pytest.raises(type(error)):
        troubled.follow()
    assert troubled.script


def test_an_outage_that_ends_is_forgotten(tmp_path):
    troubled = Troubled(tmp_path, [None, *[AWAY] * 5, None, *[AWAY] * 5, None])

    assert troubled.follow().status.state is State.RUNNING


def test_a_round_that_fails_is_shown_so_that_people_may_end_the_run(tmp_path):
    troubled = Troubled(tmp_path, [None, AWAY, AWAY, None])

    troubled.follow()

    assert len(troubled.shown) == 4


def test_a_mark_from_before_a_run_began_is_taken_away_and_one_that_comes_later_stays(tmp_path):
    desk = steady_desk(tmp_path)
    run = new_run(desk, "a")

    marked = []
    for _ in range(2):
        mark_cancelled(run, desk.store)
        tick(desk, run)
        marked.append([info.key for info in desk.store.list(cancelled_key(run))])

    assert marked == [[], [cancelled_key(run)]]
