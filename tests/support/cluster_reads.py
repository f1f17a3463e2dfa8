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
#: What a cluster may have besides.
_OPTIONAL = {"kueue.x-k8s.io/v1beta1": ("LocalQueue",), "monitoring.coreos.com/v1": ("ServiceMonitor",)}
_NOT_FOUND = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}


@contextlib.contextmanager
def serving(*objects: dict[str, Any], asked: list[str] | None = None, old: bool = False) -> Iterator[str]:
    """Serve core objects, and yield the address.

    Args:
        objects: What there is.
        asked: Every path that is asked for is added to it.
        old: Whether the cluster is of Kubernetes 1.33 with no API but Kubernetes' own.
    """
    answers = _discovery(_KINDS if old else _KINDS | _OPTIONAL, "33" if old else "36") | {
        f"/api/v1/namespaces/{item['metadata']['namespace']}/{_plural(item['kind'])}/{item['metadata']['name']}": item
        for item in objects
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, answers, [] if asked is None else asked))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _discovery(kinds: dict[str, tuple[str, ...]], minor: str) -> dict[str, Any]:
    versions = {api: {"groupVersion": api, "version": api.rpartition("/")[2]} for api in kinds if "/" in api}
    groups = [
        {"name": api.partition("/")[0], "versions": [version], "preferredVersion": version}
        for api, version in versions.items()
    ]
    lists = {f"/api{'s' if '/' in api else ''}/{api}": _resources(api, kinds[api]) for api in kinds}
    return lists | {
        "/version": {"major": "1", "minor": minor, "gitVersion": f"v1.{minor}.3"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups},
    }


def _resources(api: str, kinds: tuple[str, ...]) -> dict[str, Any]:
    resources = [{"name": _plural(kind), "namespaced": True, "kind": kind, "verbs": ["get"]} for kind in kinds]
    return {"kind": "APIResourceList", "groupVersion": api, "resources": resources}


def _plural(kind: str) -> str:
    return f"{kind.lower()}s" if not kind.endswith("y") else f"{kind.lower()[:-1]}ies"


class _Handler(BaseHTTPRequestHandler):
    """Answers from a table; what is not in it is not found."""

    def __init__(self, answers: dict[str, Any], asked: list[str], *args: Any) -> None:
        self.answers, self.asked = answers, asked
        super().__init__(*args)

    def do_GET(self) -> None:
        self.asked.append(self.path)
        answer = self.answers.get(self.path.partition("?")[0], _NOT_FOUND)
        body = json.dumps(answer).encode()
        self.send_response(answer.get("code", 200))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""
