"""Names to look at: each by one worker at a time, none before it is due. Knows nothing of runs.

The middle of `operate`: the feed and the workers put names in, workers take them out. A name that is asked for while
it is being looked at is looked at once more afterwards.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Queue:
    """A set of names with the time when each is due. Any number of threads may use it.

    Args:
        clock: Seconds from any beginning.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: dict[str, float] = {}
        self._rests: dict[str, float] = {}
        self._held: set[str] = set()
        self._closed = False
        self._changed = threading.Condition()

    def add(self, name: str, *, unless_due: bool = False) -> None:
        """Ask for a look at a name now, or when its rest is over; or only if nobody looks at it and none is planned."""
        with self._changed:
            if not (unless_due and (name in self._due or name in self._held)):
                self._put(name, self._clock())

    def take(self) -> str | None:
        """Wait for a name that is due and hold it until `done`; None once the queue is closed."""
        with self._changed:
            while not self._closed:
                name, wait_s = self._next()
                if name is None or wait_s > 0:
                    self._changed.wait(wait_s if name else None)
                    continue
                del self._due[name]
                self._held.add(name)
                return name
        return None

    def done(self, name: str, *, again_s: float | None = None, rest_s: float = 0.0) -> None:
        """Give a name back.

        Args:
            name: What `take` returned.
            again_s: Look again after so long at the latest; None: when somebody asks.
            rest_s: Do not look again before, whoever asks.
        """
        with self._changed:
            now = self._clock()
            self._held.discard(name)
            self._rests.pop(name, None)
            if rest_s > 0:
                self._rests[name] = now + rest_s
            if name in self._due:
                self._put(name, self._due[name])
            if again_s is not None:
                self._put(name, now + again_s)
            self._changed.notify_all()

    def close(self) -> None:
        """Send every waiting `take` home."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def depth(self) -> int:
        """How many names are due and wait for a worker."""
        with self._changed:
            now = self._clock()
            return sum(due <= now for due in self._due.values())

    def _put(self, name: str, due: float) -> None:
        due = max(min(due, self._due.get(name, due)), self._rests.get(name, due))
        self._due[name] = due
        self._changed.notify_all()

    def _next(self) -> tuple[str | None, float]:
        """Return the name that is due first, and the seconds until then."""
        free = {name: due for name, due in self._due.items() if name not in self._held}
        if not free:
            return None, 0.0
        name = min(free, key=free.__getitem__)
        return name, free[name] - self._clock()
