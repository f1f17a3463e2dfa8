"""Waiting for node 0 before the ranks of several nodes meet: its name must resolve and its port must answer.

Stands before the launcher. A cluster's DNS learns the name of a new pod late, and torch gives up at the first lookup
that fails (https://github.com/pytorch/pytorch/issues/73682).
"""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from touge.contract.errors import InfrastructureError, Interrupted

_TRY_S = 5.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 5.0


def await_node_0(
    endpoint: str,
    *,
    patience_s: float = 900.0,
    dial: Callable[[tuple[str, int], float], socket.socket] = socket.create_connection,
) -> None:
    """Return as soon as node 0 takes a connection.

    Args:
        endpoint: `<host>:<port>` where node 0 listens.
        patience_s: How long to try, seconds.
        dial: Resolves and connects, within seconds; raises OSError.

    Raises:
        InfrastructureError: If it did not answer in time.
        Interrupted: If the process was asked to stop meanwhile.
    """
    host, _, port = endpoint.rpartition(":")
    deadline, pause_s = time.monotonic() + patience_s, _FIRST_PAUSE_S
    with _stoppable(endpoint):
        while True:
            try:
                dial((host, int(port)), _TRY_S).close()
            except OSError as error:
                if time.monotonic() + pause_s > deadline:
                    raise InfrastructureError(
                        f"node 0 ({endpoint}) did not answer within {patience_s:g} s ({error}). "
                        "Check that its pod runs and that the cluster's DNS and network policies let nodes reach it"
                    ) from error
            else:
                return
            time.sleep(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)


@contextmanager
def _stoppable(endpoint: str) -> Iterator[None]:
    """Turn SIGTERM into an error: nothing else would end the wait of a container's first process."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Interrupted(f"asked to stop while waiting for node 0 ({endpoint}); submit again to go on")

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
