"""What is known of executions, from what was known and what is seen."""

from __future__ import annotations

from run_builders import SECOND, ended, running

from controller.memory import remembered
from controller.retries import Policy
from controller.state import State

NOW = 100 * SECOND


def known(before, seen, now=NOW, **policy):
    return list(remembered(before, seen, now, Policy(**policy)))


def queued(attempt=1, **fields):
    return running("train", 0, attempt, uid="job", state=State.QUEUED, started_us=None, placeholder=True, **fields)


def spoken(code, **fields):
    return ended("train", code, uid="job", placeholder=True, started_us=None, **fields)


def test_a_placeholder_makes_way_for_its_execution():
    assert known([queued()], [running("train")]) == [running("train")]


def test_a_placeholder_that_waits_for_the_next_pod_stays_beside_one_that_was_lost():
    found = known([running("train")], [queued()])

    assert [(e.reason, e.placeholder) for e in found] == [("Lost", False), ("", True)]


def test_who_vanishes_gets_the_end_that_its_job_tells():
    (gone,) = known([running("train")], [spoken(13, message="out of memory", reason="GpuMemory")])

    assert (gone.uid, gone.exit_code, gone.message, gone.state) == ("u1", 13, "out of memory", State.FAILED)


def test_who_vanishes_while_it_is_taken_away_was_taken_away():
    assert known([running("train", reason="Disrupted")], [])[0].reason == "Disrupted"


def test_what_a_job_says_counts_once():
    first = known([running("train")], [spoken(None)])

    assert known(first, [spoken(None)]) == first


def test_a_place_is_waited_for_a_while_before_that_is_said():
    waiting = running("train", state=State.UNSCHEDULABLE, since_us=NOW - 20 * SECOND, started_us=None)

    assert known([], [waiting], unschedulable_s=30)[0].state is State.QUEUED
    assert known([], [waiting], unschedulable_s=10)[0].state is State.UNSCHEDULABLE


def test_a_lost_node_is_waited_for_unless_the_operator_allows_otherwise():
    stuck = running("train", reason="NodeLost", since_us=NOW - 900 * SECOND)

    assert known([], [stuck]) == [stuck]
    assert known([], [stuck], replace_lost_s=1000) == [stuck]
    (given_up,) = known([], [stuck], replace_lost_s=600)
    assert (given_up.state, given_up.reason, given_up.ended_us) == (State.FAILED, "Lost", NOW)


def test_executions_of_one_attempt_are_in_order_of_their_start():
    late, early = running("train", uid="a", started_us=9 * SECOND), ended("train", 31, uid="z", started_us=3 * SECOND)

    assert [e.uid for e in known([], [late, early, queued()])] == ["z", "a", "job"]
