"""A small API server on loopback that answers as a script says, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml

from controller.runners.kubernetes.client import Cluster
from controller.runners.kubernetes.connection import connect


@dataclass(frozen=True)
class Call:
    """One request."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Answer:
    """What is sent back: a document, or events one by one; `breaks` hangs up in the middle."""

    status: int = 200
    document: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    events: Iterable[Any] | None = None
    breaks: bool = False


Script = Callable[[Call], Answer]


def status(code: int, reason: str = "", message: str = "no", **more: Any) -> Answer:
    """Return one of Kubernetes' Status documents."""
    document = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
    headers = {"Retry-After": str(more.pop("retry_after"))} if "retry_after" in more else {}
    return Answer(code, document | more, headers)


def items(*found: Any, version: str = "1", **metadata: Any) -> Answer:
    """Return a list."""
    return Answer(document={"items": list(found), "metadata": {"resourceVersion": version} | metadata})


class Api:
    """The server's address, its script, and what it was asked."""

    def __init__(self, server: str, folder: Path) -> None:
        self.server, self.kubeconfig = server, folder / "kubeconfig"
        self.calls: list[Call] = []
        self.script: Script = lambda _call: items()
        self.slept: list[float] = []
        self.write_kubeconfig("first")

    def answers(self, *given: Answer) -> None:
        """Give these answers in turn, the last one for ever."""
        left = list(given)
        self.script = lambda _call: left.pop(0) if len(left) > 1 else left[0]

    def write_kubeconfig(self, token: str, namespace: str = "roads") -> None:
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "c", "cluster": {"server": self.server}}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": namespace}}],
        }
        self.kubeconfig.write_text(yaml.safe_dump(document))

    def cluster(self, monkeypatch: Any, namespace: str | None = None, context: str | None = None) -> Cluster:
        """Return a cluster of this server whose pauses take no time."""
        monkeypatch.setenv("KUBECONFIG", str(self.kubeconfig))
        return Cluster(connect(namespace, context), sleep=self.slept.append, random_share=lambda: 0.5)

    @property
    def tokens(self) -> list[str]:
        """Whose requests came."""
        return [call.headers["authorization"] for call in self.calls]


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Api]:
    """Serve, and yield the server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.daemon_threads = True
    api = Api(f"http://127.0.0.1:{server.server_port}", folder)
    server.RequestHandlerClass = partial(_Handler, api)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, api: Api, *args: Any) -> None:
        self.api = api
        super().__init__(*args)

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        headers = {key.lower(): value for key, value in self.headers.items()}
        call = Call(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body)
        self.api.calls.append(call)
        self._send(self.api.script(call))

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Answer every method alike."""
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _send(self, answer: Answer) -> None:
        if answer.breaks and answer.events is None:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.events is None:
            text = (
                answer.document.encode() if isinstance(answer.document, str) else json.dumps(answer.document).encode()
            )
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._stream(answer)

    def _stream(self, answer: Answer) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for event in answer.events or ():
                line = json.dumps(event).encode() + b"\n"
                self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
                self.wfile.flush()
            if answer.breaks:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *args: Any) -> None:
        """Say nothing."""
