"""An API server on loopback that helm can ask what is there: discovery, and a few objects of one namespace."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: Kinds that the chart makes or looks up, by API.
_KINDS = {
    "v1": ("ConfigMap", "PersistentVolumeClaim", "Pod", "Secret", "Service", "ServiceAccount"),
    "apps/v1": ("Deployment",),
    "batch/v1": ("CronJob",),
    "networking.k8s.io/v1": ("NetworkPolicy",),
    "rbac.authorization.k8s.io/v1": ("Role", "RoleBinding"),
}
_NOT_FOUND = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}


@contextlib.contextmanager
def serving(*objects: dict[str, Any]) -> Iterator[str]:
    """Serve core objects, and yield the address."""
    answers = _discovery() | {
        f"/api/v1/namespaces/{item['metadata']['namespace']}/{_plural(item['kind'])}/{item['metadata']['name']}": item
        for item in objects
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, answers))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _discovery() -> dict[str, Any]:
    versions = {api: {"groupVersion": api, "version": "v1"} for api in _KINDS if "/" in api}
    groups = [
        {"name": api.partition("/")[0], "versions": [version], "preferredVersion": version}
        for api, version in versions.items()
    ]
    lists = {f"/api{'s' if '/' in api else ''}/{api}": _resources(api) for api in _KINDS}
    return lists | {
        "/version": {"major": "1", "minor": "36", "gitVersion": "v1.36.3"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups},
    }


def _resources(api: str) -> dict[str, Any]:
    kinds = [{"name": _plural(kind), "namespaced": True, "kind": kind, "verbs": ["get"]} for kind in _KINDS[api]]
    return {"kind": "APIResourceList", "groupVersion": api, "resources": kinds}


def _plural(kind: str) -> str:
    return f"{kind.lower()}s" if not kind.endswith("y") else f"{kind.lower()[:-1]}ies"


class _Handler(BaseHTTPRequestHandler):
    """Answers from a table; what is not in it is not found."""

    def __init__(self, answers: dict[str, Any], *args: Any) -> None:
        self.answers = answers
        super().__init__(*args)

    def do_GET(self) -> None:
        answer = self.answers.get(self.path.partition("?")[0], _NOT_FOUND)
        body = json.dumps(answer).encode()
        self.send_response(answer.get("code", 200))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""
