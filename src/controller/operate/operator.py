"""The loop of `operate`: a feed of names -> queue -> workers -> `follow.tick`, with the full list as a backstop.

The only module here that acts, and it acts through `tick` alone. One run's failure makes that run rest, longer each
time, and never stops the others.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from controller.follow import Desk, tick
from controller.operate.feed import Feed
from controller.operate.metrics import Metrics
from controller.operate.queue import Queue
from controller.records import RunRecord
from controller.state import RunStatus, State
from touge.contract.errors import ObjectNotFound, TougeError


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the operator looks, in seconds.

    Args:
        again_s: At a run that is at work, at the latest: what changes by the clock alone makes no event.
        waiting_s: The same for a run that waits for a place or an image.
        retry_s: The same for a run of which something waits for another try.
        list_s: At the list of all runs, in case the feed missed one.
        backoff_s: Rest of a run after the first failed look; doubled with each further one.
        backoff_cap_s: Longest rest.
        stuck_s: A thread that took longer over one look is not alive any more.
        workers: Runs that are looked at side by side.
    """

    again_s: float = 60.0
    waiting_s: float = 20.0
    retry_s: float = 5.0
    list_s: float = 60.0
    backoff_s: float = 1.0
    backoff_cap_s: float = 60.0
    stuck_s: float = 900.0
    workers: int = 4


@dataclass
class Operator:
    """Sees runs through until it is told to stop.

    Args:
        desk: What to work with.
        feed: Which runs may have changed.
        log: Where it says what failed.
        pace: How often it looks.
    """

    desk: Desk
    feed: Feed
    log: Any
    pace: Pace = field(default_factory=Pace)
    queue: Queue = field(default_factory=Queue)

    def __post_init__(self) -> None:
        self.metrics = Metrics(lambda: self.queue.depth)
        self._stop = threading.Event()
        self._listed = threading.Event()
        self._failures: dict[str, int] = {}
        self._since: dict[str, float] = {}

    @property
    def ready(self) -> bool:
        """Whether all runs were listed once."""
        return self._listed.is_set()

    @property
    def alive(self) -> bool:
        """Whether no thread hangs."""
        return all(time.monotonic() - since < self.pace.stuck_s for since in list(self._since.values()))

    def stop(self) -> None:
        """Make `run` return once the looks under way are finished."""
        self._stop.set()
        self.queue.close()

    def run(self) -> None:
        """Work until `stop` is called, from another thread or a signal's handler."""
        threading.Thread(target=self._listen, name="feed", daemon=True).start()
        workers = [threading.Thread(target=self._work, name=f"worker-{n}") for n in range(self.pace.workers)]
        for worker in workers:
            worker.start()
        try:
            self._list_now_and_then()
        finally:
            self.stop()
            for worker in workers:
                worker.join()

    def _list_now_and_then(self) -> None:
        failures = 0
        while not self._stop.is_set():
            failures = 0 if self._list() else failures + 1
            self._stop.wait(self.rest_s(failures) if failures else self.pace.list_s)

    def _list(self) -> bool:
        with self._busy():
            try:
                runs = self.desk.records.summaries()
            except Exception as error:  # noqa: BLE001 - whatever it was, the next list may go well
                self._failed(error, "the list of runs")
                return False
        self.metrics.listed(runs)
        self._listed.set()
        for known in runs:
            if not known.over:
                self.queue.add(known.run, unless_due=True)
        return True

    def _listen(self) -> None:
        """Pass on the feed, and begin it anew where it breaks."""
        failures = 0
        while not self._stop.is_set():
            failures = 1 if self._pass_on() else failures + 1
            self._stop.wait(self.rest_s(failures))

    def _pass_on(self) -> bool:
        """Ask for looks at what the feed yields until it ends; return whether it yielded anything."""
        over, heard = threading.Event(), False
        try:
            for run in self.feed(lambda: over.is_set() or self._stop.is_set()):
                heard = True
                self.queue.add(run)
        except Exception as error:  # noqa: BLE001 - the list is still a backstop
            self._failed(error, "the feed of changes")
        finally:
            over.set()
        return heard

    def _work(self) -> None:
        while (run := self.queue.take()) is not None:
            with self._busy(), self.metrics.seconds.time():
                self._look_after(run)

    def _look_after(self, run: str) -> None:
        try:
            record = tick(self.desk, run)
        except Exception as error:  # noqa: BLE001 - one run's failure never stops the others
            if isinstance(error, ObjectNotFound) and self._gone(run):
                self._forget(run)
                return
            self._failed(error, run)
            self._failures[run] = self._failures.get(run, 0) + 1
            rest_s = self.rest_s(self._failures[run])
            self.queue.done(run, again_s=rest_s, rest_s=rest_s)
            return
        self._failures.pop(run, None)
        self.metrics.succeeded(record)
        self.queue.done(run, again_s=self._again_s(record))

    def _gone(self, run: str) -> bool:
        """Return whether it is the record that is not there, and not an object of the store."""
        try:
            self.desk.records.read(run)
        except ObjectNotFound:
            return True
        except TougeError:
            return False
        return False

    @contextlib.contextmanager
    def _busy(self) -> Iterator[None]:
        """Note since when this thread is at work on one thing."""
        name = threading.current_thread().name
        self._since[name] = time.monotonic()
        try:
            yield
        finally:
            del self._since[name]

    def _forget(self, run: str) -> None:
        self._failures.pop(run, None)
        self.metrics.forgotten(run)
        self.queue.done(run)

    def _again_s(self, record: RunRecord) -> float | None:
        if record.over:
            return None
        return self._patience_s(record.status) * random.uniform(0.5, 1.0)  # so that not all are due at once

    def _patience_s(self, status: RunStatus | None) -> float:
        if status and any(stage.state is State.RETRYING for stage in status.stages):
            return self.pace.retry_s
        return self.pace.again_s if status and status.state is State.RUNNING else self.pace.waiting_s

    def rest_s(self, failures: int) -> float:
        """Return how long something rests after so many failures in a row: doubled each time, with jitter."""
        longest = min(self.pace.backoff_cap_s, self.pace.backoff_s * 2.0 ** min(failures - 1, 30))
        return longest * random.uniform(0.5, 1.0)

    def _failed(self, error: Exception, what: str) -> None:
        self.metrics.failed(error)
        if isinstance(error, TougeError):
            self.log.warning("failed; trying again", what=what, kind=type(error).__name__, error=str(error))
        else:
            self.log.error("failed; trying again. This is a bug of touge", what=what, exc_info=error)
