"""What comes true by itself after a while: looked for again and again, and told as it is at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

#: A process of a test ends long before, also on a busy machine; what takes so long hangs. Seconds.
PATIENCE_S = 240


def eventually(seen: Callable[[], Any], seconds: float = 60) -> Any:
    """Return what is seen as soon as it is true, or what is seen when the time is over."""
    end = time.monotonic() + seconds
    while not (found := seen()) and time.monotonic() < end:
        time.sleep(0.02)
    return found
