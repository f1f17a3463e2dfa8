"""Which runs changed: list, watch from there, list again when the server has forgotten where we were.

Level-triggered: an id says that a run is worth a look, never what happened. Ids wait in a set, so a burst of events is
one look. Waits that end without an event are the operator's to remember.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import structlog

from controller.runners.kubernetes import labels
from controller.runners.kubernetes.client import CONFIG_MAPS, JOBS, PODS, Cluster, Resource
from controller.runners.kubernetes.refusals import Expired
from touge.contract.errors import InfrastructureError, TougeError

log = structlog.get_logger()

#: The server ends a watch after so long, drawn anew each time so that not all end at once.
_SHORTEST_WATCH_S, _LONGEST_WATCH_S = 240, 300
#: Bookmarks come about once a minute; a longer silence is a dead connection.
_QUIET_S = 75.0
_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
#: Refusals in a row of what was allowed before: an API server that comes up refuses all until it has read its roles.
_REFUSALS = 8
_TICK_S = 0.2


def changes(cluster: Cluster, stop: Callable[[], bool]) -> Iterator[str]:
    """Yield ids of runs whose Jobs, pods or record changed; at first of those that go on or still have Jobs or pods.

    Args:
        cluster: Where they are.
        stop: Asked again and again; True ends the iteration.

    Raises:
        SettingsError: If the cluster does not let us watch.
    """
    board = _Board()
    for resource in (CONFIG_MAPS, JOBS, PODS):
        watcher = _Watcher(cluster, resource, board, stop)
        threading.Thread(target=watcher.run, name=f"watch-{resource.plural}", daemon=True).start()
    while not stop():
        if run := board.take(_TICK_S):
            yield run


class _Board:
    """Runs worth a look."""

    def __init__(self) -> None:
        self._changed: dict[str, None] = {}
        self._error: TougeError | None = None
        self._news = threading.Condition()

    def note(self, metadata: dict[str, Any]) -> None:
        """Take down that an object of a run changed."""
        run = (metadata.get("labels") or {}).get(labels.OF_RUNS)
        if run is None:
            return
        with self._news:
            self._changed[run] = None
            self._news.notify()

    def fail(self, error: TougeError) -> None:
        """Take down what a person must mend."""
        with self._news:
            self._error = error
            self._news.notify()

    def take(self, seconds: float) -> str | None:
        """Return the run that has waited longest, or None if none comes in time."""
        with self._news:
            if not self._changed and self._error is None:
                self._news.wait(seconds)
            if self._error is not None:
                raise self._error
            run = next(iter(self._changed), None)
            if run is not None:
                del self._changed[run]
            return run


class _Watcher:
    """Keeps one kind of object in view."""

    def __init__(self, cluster: Cluster, resource: Resource, board: _Board, stop: Callable[[], bool]) -> None:
        self._cluster, self._resource, self._board, self._stop = cluster, resource, board, stop
        self._version = ""
        self._failures = 0
        self._worked = False

    def run(self) -> None:
        """Watch until told to stop, or until a person must mend something."""
        while not self._stop():
            try:
                self._once()
                self._failures = 0
            except Expired:
                self._version = ""
            except InfrastructureError as error:
                self._wait(str(error))
            except TougeError as error:
                if not self._worked or self._failures >= _REFUSALS:
                    self._board.fail(error)
                    return
                self._wait(str(error))

    def _once(self) -> None:
        """List where there is no version to go on from, then watch until the server ends it."""
        if not self._version:
            listing = self._cluster.list(self._resource, labels.OF_RUNS, metadata=True)
            self._version, self._worked = listing.version, True
            for item in listing.items:
                if not _over(item["metadata"]):
                    self._board.note(item["metadata"])
        seconds = random.randint(_SHORTEST_WATCH_S, _LONGEST_WATCH_S)
        events = self._cluster.watch(self._resource, self._version, labels.OF_RUNS, seconds=seconds, quiet_s=_QUIET_S)
        for event in events:
            metadata = event["object"]["metadata"]
            self._version = metadata["resourceVersion"]
            self._failures = 0
            if event["type"] != "BOOKMARK":
                self._board.note(metadata)
            if self._stop():
                return

    def _wait(self, why: str) -> None:
        log.info("watching again", resource=self._resource.plural, after=why)
        pause_s = min(_LONGEST_PAUSE_S, _PAUSE_S * 2**self._failures) * (0.5 + random.random())
        self._failures += 1
        time.sleep(pause_s)


def _over(metadata: dict[str, Any]) -> bool:
    """Whether this is the record of a run that is over."""
    return (metadata.get("labels") or {}).get(labels.OVER) == "true"
