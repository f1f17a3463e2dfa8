"""`operate`: the controller that stays, in a cluster or on this machine."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from pydantic import Field

from controller.cli.verb import RunVerb, Tools
from touge.contract.errors import SettingsError
from touge.contract.exit_codes import ExitCode

if TYPE_CHECKING:
    from controller.operate.operator import Operator
    from controller.operate.serving import Pages


class Operate(RunVerb):
    """See every run through until asked to stop, and serve /metrics, /healthz and /readyz."""

    port: int = Field(8080, ge=0, le=65535, description="port of the pages; 0: any free one, which the log names")
    host: str | None = Field(None, description="address of the pages; default: every one on Kubernetes, else loopback")

    def run(self, tools: Tools) -> int:
        """Work until SIGTERM or Ctrl-C; the looks under way are finished first, a second signal does not wait."""
        import structlog

        from controller.operate.operator import Operator
        from controller.operate.serving import serving

        place = tools.place()
        if place.desk.blind:
            raise SettingsError("operate decides by what is in the store: set TOUGE_STORE and its credentials")
        operator = Operator(place.desk, place.feed, structlog.get_logger())
        host = self.host if self.host is not None else place.listens
        with place.attendance.attending(), serving(_pages(operator), host, self.port) as port:
            operator.log.info("seeing runs through", port=port, where=place.name, store=place.desk.store.uri)
            with _stopped_by_signals(operator.stop):
                operator.run()
        operator.log.info("stopped")
        return ExitCode.OK


def _pages(operator: Operator) -> Pages:
    from prometheus_client.exposition import CONTENT_TYPE_LATEST

    return {
        "/metrics": lambda: (200, CONTENT_TYPE_LATEST, operator.metrics.text()),
        "/healthz": lambda: _said("a look at a run hangs", ok=operator.alive),
        "/readyz": lambda: _said("the runs are not listed yet", ok=operator.ready),
    }


def _said(otherwise: str, *, ok: bool) -> tuple[int, str, bytes]:
    from controller.operate.serving import PLAIN

    return (200, PLAIN, b"ok\n") if ok else (503, PLAIN, f"{otherwise}\n".encode())


@contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at the first SIGTERM or SIGINT; the second ends the process at once."""
    numbers = (signal.SIGTERM, signal.SIGINT)

    def once(_number: int, _frame: FrameType | None) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
        threading.Thread(target=stop).start()  # the interrupted thread may hold the very locks that it takes

    before = [signal.signal(number, once) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
