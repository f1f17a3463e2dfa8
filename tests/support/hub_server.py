"""A small Hugging Face hub on loopback: revisions, file lists and files of a few repositories."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class HubServer:
    """Serves `files` of `repository` at one commit, which is also the branch main.

    Args:
        repository: owner/name.
        files: Content by path.
        gated: Whether it refuses those who have not accepted its terms.
        served: What it sends by mistake instead of a file's content.
    """

    repository: str
    files: Mapping[str, bytes]
    gated: bool = False
    requests: list[str] = field(default_factory=list)
    served: Mapping[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.answer(self, body=True)

            def do_HEAD(self) -> None:
                hub.answer(self, body=False)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler, *, body: bool) -> None:
        """Answer as the hub does (https://huggingface.co/docs/hub/api)."""
        path = request.path.split("?")[0]
        self.requests.append(path)
        status, headers, content = self._content(path)
        request.send_response(status)
        for name, value in ({"Content-Length": str(len(content)), "X-Repo-Commit": COMMIT} | headers).items():
            request.send_header(name, value)
        request.end_headers()
        if body:
            request.wfile.write(content)

    def _content(self, path: str) -> tuple[int, dict[str, str], bytes]:
        api, files = f"/api/models/{self.repository}", f"/{self.repository}/resolve/"
        if not path.startswith((f"{api}/", files)):
            return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"
        if self.gated:
            return 403, {"X-Error-Code": "GatedRepo"}, b"{}"
        if path in {f"{api}/revision/main", f"{api}/revision/{COMMIT}"}:
            names = [{"rfilename": name} for name in self.files]
            return 200, {}, json.dumps({"id": self.repository, "sha": COMMIT, "siblings": names}).encode()
        if path.startswith(f"{api}/tree/{COMMIT}"):
            return 200, {}, json.dumps([self._entry(name) for name in self.files]).encode()
        name = path.removeprefix(f"{files}{COMMIT}/")
        if name not in self.files:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b"{}"
        return 200, {"ETag": f'"{_name(name, self.files[name])}"'}, self.served.get(name, self.files[name])

    def _entry(self, name: str) -> dict[str, object]:
        data = self.files[name]
        return {"type": "file", "path": name, "size": len(data), "oid": _blob(data)}


def _name(path: str, data: bytes) -> str:
    """Return the hub's name of a file's content: weights are large files, which have their sha256."""
    return hashlib.sha256(data).hexdigest() if path.endswith(".safetensors") else _blob(data)


def _blob(data: bytes) -> str:
    """Return git's name of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
