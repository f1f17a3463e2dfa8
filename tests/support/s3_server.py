"""A real S3 server on loopback: moto's, one request at a time, with faults on request.

One at a time because moto looks whether a key exists and writes it in two steps, which S3 does in one.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from touge.storage import Store, StoreSettings, open_store

ACCESS_KEY, SECRET_KEY = "AKIALOOPBACK", "s3cret-of-loopback"
_ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>as asked for</Message></Error>"
_NAMES = itertools.count()


@dataclass
class Fault:
    """What happens to the next `times` requests of this method whose path ends so.

    Args:
        method: HTTP method.
        suffix: End of the path.
        status: What is answered, with `code`; 0 closes the connection without an answer.
        code: S3's error code.
        done: Whether the request is carried out all the same.
        truncated: Whether the answer to what was carried out breaks off in the middle.
        times: How often.
    """

    method: str
    suffix: str
    status: int
    code: str = ""
    done: bool = False
    truncated: bool = False
    times: int = 1


class S3Server:
    """Serves until it is closed; `requests` lists what was asked."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.requests: list[str] = []
        self._faults: list[Fault] = []
        self._app = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._server = make_server(host, port, self._answer, threaded=True, request_handler=_Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.settings = StoreSettings(
            endpoint=f"http://{host}:{self._server.server_port}", region="us-east-1", path_style=True
        )

    def new_store(self, prefix: str = "some/prefix", **changes: Any) -> Store:
        """Return an empty store in a bucket of its own; `changes` are of the settings."""
        bucket = f"bucket-{next(_NAMES)}"
        client = boto3.client("s3", endpoint_url=self.settings.endpoint, region_name="us-east-1")
        client.create_bucket(Bucket=bucket)
        return open_store(f"s3://{bucket}/{prefix}", self.settings.model_copy(update=changes))

    def fail(self, fault: Fault) -> None:
        """Ask for a fault."""
        self._faults.append(fault)

    def mend(self) -> None:
        """Forget the faults that did not happen yet."""
        self._faults.clear()

    def place(self, bucket: str, key: str) -> None:
        """Put an empty object straight into the server's memory."""
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(bucket, key, b"")

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        with self._lock:
            self.requests.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
            fault = self._due(environ)
            if fault is None:
                return list(self._app(environ, start))
            if fault.truncated:
                whole = b"".join(self._app(environ, start))
                return _broken(whole[: len(whole) // 2], environ["werkzeug.socket"])
            if fault.done:
                list(self._app(environ, lambda *_: None))
        if not fault.status:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        start(f"{fault.status or 500} Fault", [("Content-Type", "application/xml")])
        return [_ERROR.format(code=fault.code).encode()]

    def _due(self, environ: dict[str, Any]) -> Fault | None:
        for fault in self._faults:
            if (
                fault.times
                and fault.method == environ["REQUEST_METHOD"]
                and environ["PATH_INFO"].endswith(fault.suffix)
            ):
                fault.times -= 1
                return fault
        return None


def _broken(part: bytes, connection: socket.socket) -> Iterator[bytes]:
    yield part
    connection.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def serving() -> Iterator[S3Server]:
    """Yield a running server, with credentials for it in the environment and no others."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "TOUGE_S3_"))]:
            patch.delenv(name)
        patch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", "/dev/null")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        server = S3Server()
        yield server
        server.close()


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: Any) -> None:
        """Say nothing."""
