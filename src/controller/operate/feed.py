"""Which runs may have changed; where nothing tells it, all that go on, again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from controller.records import Records

#: Yields the names of runs that may have changed, until it is told to stop.
Feed = Callable[[Callable[[], bool]], Iterator[str]]


def poll(records: Records, every_s: float) -> Feed:
    """Return a feed that yields every run that is not over, every so many seconds."""

    def names(stopping: Callable[[], bool]) -> Iterator[str]:
        while not stopping():
            yield from (known.run for known in records.summaries() if not known.over)
            time.sleep(every_s)

    return names
