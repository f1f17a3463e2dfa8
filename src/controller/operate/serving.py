"""HTTP of `operate`: /metrics, /healthz and /readyz, and nothing that changes anything."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from touge.contract.errors import SettingsError

#: Path -> (HTTP status, content type, content).
Pages = Mapping[str, Callable[[], tuple[int, str, bytes]]]

PLAIN = "text/plain; charset=utf-8"
#: A client that stops talking loses its connection.
_TIMEOUT_S = 10.0


@contextlib.contextmanager
def serving(pages: Pages, host: str, port: int) -> Iterator[int]:
    """Serve pages for as long as it lasts, and yield the port.

    Args:
        pages: What there is.
        host: Address to listen on; empty: all of them, IPv4 and IPv6.
        port: 0 takes any free one.

    Raises:
        SettingsError: If the port cannot be had.
    """
    try:
        server = _server(pages, host, port)
    except (OSError, OverflowError) as error:
        raise SettingsError(f"cannot listen on {host}:{port}: {error}. --port takes another") from None
    thread = threading.Thread(target=server.serve_forever, name="http", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def _server(pages: Pages, host: str, port: int) -> ThreadingHTTPServer:
    class Handler(_Handler):
        known = pages

    return (_DualStack if not host and socket.has_dualstack_ipv6() else _Server)((host, port), Handler)


class _Server(ThreadingHTTPServer):
    daemon_threads = True


class _DualStack(_Server):
    """Listens on IPv6 and, through it, on IPv4."""

    address_family = socket.AF_INET6

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


class _Handler(BaseHTTPRequestHandler):
    known: Pages = {}
    timeout = _TIMEOUT_S
    server_version = "touge"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer from the table."""
        page = self.known.get(self.path.partition("?")[0])
        status, kind, content = page() if page else (404, PLAIN, "known: {}\n".format(" ".join(self.known)).encode())
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class's name
        """Keep quiet: probes come every few seconds."""
