"""Names in, names out: when, in which order, and never to two at once."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.operate.queue import Queue


class Clock:
    """A clock that moves when told."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def queue(clock):
    return Queue(clock)


def drained(queue):
    """Return the names that are due, in the order in which they come."""
    names = []
    while queue.depth:
        names.append(queue.take())
        queue.done(names[-1])
    return names


def test_a_name_that_is_asked_for_often_is_looked_at_once(queue):
    for _ in range(3):
        queue.add("a")

    assert ["a"] == drained(queue)


def test_the_name_that_waited_longest_comes_first(queue, clock):
    queue.add("b")
    clock.now = 1
    queue.add("a")

    assert ["b", "a"] == drained(queue)


def test_a_name_at_work_is_looked_at_once_more_if_it_is_asked_for_meanwhile(queue):
    queue.add("a")
    queue.take()
    queue.add("a")
    queue.add("b")

    assert "b" == queue.take()
    queue.done("a")
    assert "a" == queue.take()


def test_a_name_comes_again_when_it_was_given_back_with_a_time(queue, clock):
    queue.add("a")
    queue.done(queue.take(), again_s=10)

    clock.now = 9.9
    early = queue.depth
    clock.now = 10
    assert (early, queue.depth) == (0, 1)


def test_asking_makes_a_name_come_earlier(queue):
    queue.add("a")
    queue.done(queue.take(), again_s=10)

    queue.add("a")

    assert 1 == queue.depth


def test_a_resting_name_does_not_come_earlier_whoever_asks(queue, clock):
    queue.add("a")
    queue.done(queue.take(), again_s=10, rest_s=10)

    queue.add("a")

    assert 0 == queue.depth
    clock.now = 10
    assert "a" == queue.take()


def test_a_rest_that_begins_while_the_name_was_asked_for_holds(queue, clock):
    queue.add("a")
    queue.take()
    queue.add("a")

    queue.done("a", rest_s=10)

    assert 0 == queue.depth


def test_closing_sends_the_waiting_home():
    queue = Queue()
    found = []
    waiting = threading.Thread(target=lambda: found.append(queue.take()))
    waiting.start()

    queue.close()
    waiting.join(10)

    assert [None] == found


def test_a_closed_queue_gives_nothing_even_if_something_is_due(queue):
    queue.add("a")
    queue.close()

    assert queue.take() is None


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_whatever_is_asked_for_is_looked_at(names):
    queue = Queue(Clock())
    for name in names:
        queue.add(name)

    assert set(names) == set(drained(queue))


def test_no_name_is_held_by_two_workers():
    queue = Queue()
    held, overlaps, lock = set(), [], threading.Lock()
    left = threading.Semaphore(0)

    def work():
        while (name := queue.take()) is not None:
            with lock:
                overlaps.extend({name} & held)
                held.add(name)
            queue.add(name)
            with lock:
                held.discard(name)
            queue.done(name)
            left.release()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for name in "ab":
        queue.add(name)
    for _ in range(200):
        assert left.acquire(timeout=20)
    queue.close()
    for worker in workers:
        worker.join(10)

    assert [] == overlaps


def test_a_name_that_is_planned_or_held_is_not_hurried_by_who_only_asks_that_it_be_known(queue, clock):
    queue.add("a")
    queue.add(queue.take(), unless_due=True)
    queue.done("a", again_s=10)
    queue.add("a", unless_due=True)
    queue.add("b", unless_due=True)

    assert queue.take() == "b"
    assert queue.depth == 0
