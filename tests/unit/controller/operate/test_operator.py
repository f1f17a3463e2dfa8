"""The loop: every live run is looked at, whatever becomes of the others."""

import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
import structlog
from eventually import eventually
from steady_desk import new_run, steady_desk

from controller.changes import request_cancel
from controller.operate.feed import poll
from controller.operate.operator import Operator, Pace
from controller.state import State
from touge.contract.errors import InfrastructureError, ObjectNotFound

QUICK = Pace(again_s=0.02, waiting_s=0.02, retry_s=0.02, list_s=0.05, backoff_s=0.01, backoff_cap_s=0.05)


def silent(stopping):
    """A feed that never has news."""
    while not stopping():
        time.sleep(0.01)
        yield from ()


@pytest.fixture
def desk(tmp_path):
    return steady_desk(tmp_path)


@contextmanager
def operating(desk, feed=silent, pace=QUICK):
    operator = Operator(desk, feed, structlog.wrap_logger(structlog.ReturnLogger()), pace)
    thread = threading.Thread(target=operator.run)
    thread.start()
    try:
        yield operator
    finally:
        operator.stop()
        thread.join(20)
        assert not thread.is_alive()


def state(desk, run):
    status = desk.records.read(run).status
    return status.state if status else None


def test_every_run_is_set_to_work(desk):
    runs = [new_run(desk, name) for name in ("a", "b", "c", "d", "e", "f")]

    with operating(desk):
        assert eventually(lambda: all(state(desk, run) is State.RUNNING for run in runs))


def test_a_run_that_comes_later_is_found_by_the_list_even_if_the_feed_is_deaf(desk):
    with operating(desk) as operator:
        assert eventually(lambda: operator.ready)
        run = new_run(desk, "late")

        assert eventually(lambda: state(desk, run) is State.RUNNING)


def test_the_feed_brings_a_run_before_the_next_list(desk):
    with operating(desk, poll(desk.records, 0.01), replace(QUICK, list_s=3600)) as operator:
        assert eventually(lambda: operator.ready)
        run = new_run(desk, "new")

        assert eventually(lambda: state(desk, run) is State.RUNNING)


@pytest.mark.parametrize("trouble", [InfrastructureError("no answer"), ValueError("a bug"), ObjectNotFound("x")])
def test_one_runs_failure_never_stops_the_others_and_ends_with_its_cause(desk, trouble):
    bad, good = new_run(desk, "bad"), new_run(desk, "good")
    desk.runner.trouble[bad] = trouble

    with operating(desk):
        assert eventually(lambda: state(desk, good) is State.RUNNING and desk.runner.looks.count(bad) > 3)
        desk.runner.trouble.clear()
        assert eventually(lambda: state(desk, bad) is State.RUNNING)


def test_a_failing_run_rests_longer_each_time_and_not_for_ever():
    operator = Operator(None, silent, None, Pace(backoff_s=1, backoff_cap_s=60))
    rests = [operator.rest_s(failures) for failures in (1, 2, 3, 10, 1000)]

    for rest, longest in zip(rests, (1, 2, 4, 60, 60), strict=True):
        assert longest / 2 <= rest <= longest


def test_a_feed_that_breaks_is_begun_anew(desk):
    begun = []

    def breaking(stopping):
        begun.append(stopping)
        raise InfrastructureError("the watch broke")
        yield ""

    with operating(desk, breaking):
        assert eventually(lambda: len(begun) > 2)
        assert begun[0](), "what the broken one left running is told to end"


def test_a_list_that_fails_makes_it_not_ready_and_no_worse(desk, tmp_path):
    run = new_run(desk, "a")
    records, broken = desk.records, threading.Event()
    broken.set()

    class Unreachable(type(records)):
        def summaries(self):
            if broken.is_set():
                raise InfrastructureError("no API server")
            return super().summaries()

    with operating(replace(desk, records=Unreachable(tmp_path))) as operator:
        assert eventually(lambda: b'kind="InfrastructureError"' in operator.metrics.text())
        unready = not operator.ready
        broken.clear()
        assert eventually(lambda: operator.ready and state(desk, run) is State.RUNNING)

    assert unready


def test_a_run_that_is_over_is_left_alone(desk):
    run = new_run(desk, "a")

    with operating(desk):
        assert eventually(lambda: state(desk, run) is State.RUNNING)
        request_cancel(desk.records, run)
        assert eventually(lambda: desk.records.read(run).over)
        looks = len(desk.runner.looks)
        time.sleep(0.2)

    assert len(desk.runner.looks) <= looks + 1


def test_a_deleted_run_is_forgotten(desk):
    run = new_run(desk, "a")

    with operating(desk) as operator:
        assert eventually(lambda: state(desk, run) is State.RUNNING)
        desk.records.delete(run)
        assert eventually(lambda: b'touge_runs{state="Running"} 0.0' in operator.metrics.text())

    assert b"touge_reconcile_errors_total{" not in operator.metrics.text()


def test_stopping_finishes_the_look_under_way(desk):
    run, begun, may_end = new_run(desk, "a"), threading.Event(), threading.Event()

    def slow():
        begun.set()
        assert may_end.wait(20)

    desk.runner.slow = slow
    with operating(desk) as operator:
        assert begun.wait(20)
        operator.stop()
        may_end.set()

    assert 1 == len(desk.runner.executions[run])


def test_a_look_that_hangs_is_told_apart_from_life(desk):
    new_run(desk, "a")
    may_end = threading.Event()
    desk.runner.slow = lambda: may_end.wait(20)

    with operating(desk, pace=replace(QUICK, stuck_s=0.05)) as operator:
        assert eventually(lambda: not operator.alive)
        may_end.set()
        assert eventually(lambda: operator.alive)


def test_two_operators_do_no_harm(desk):
    runs = [new_run(desk, name) for name in ("a", "b")]

    with operating(desk), operating(desk):
        assert eventually(lambda: all(state(desk, run) is State.RUNNING for run in runs))

    assert all(len(desk.runner.executions[run]) == 1 for run in runs)
