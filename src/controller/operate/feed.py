"""Which runs may have changed, where nothing tells it: all that go on, again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from controller.records import Records


def poll(records: Records, every_s: float) -> Callable[[Callable[[], bool]], Iterator[str]]:
    """Return a feed that yields every run that is not over, every so many seconds."""

    def names(stopping: Callable[[], bool]) -> Iterator[str]:
        while not stopping():
            yield from (record.run for record in records.list() if not record.over)
            time.sleep(every_s)

    return names
