"""An API server's memory: objects that can be made, read, listed, patched and deleted; nothing runs them.

A script for `scripted_api`. It keeps resourceVersions and refuses a stale patch, checks no schema, and knows dry runs
and reviews of one's own rights.
"""

from __future__ import annotations

import copy
import itertools
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from job_templates import NAMES, cronjob
from laptop import FILES
from scripted_api import Answer, Api, Call, items, serving, status


class Objects:
    """Every object by its path.

    `forbidden` holds (verb, resource) pairs that a review denies, `unreadable` ends of paths that are refused,
    `refuses` kinds that cannot be made with the reason, `gone` a path that is not found (others are empty lists).
    """

    def __init__(self) -> None:
        self.known: dict[str, dict[str, Any]] = {}
        self.forbidden: set[tuple[str, str]] = set()
        self.unreadable: set[str] = set()
        self.refuses: dict[str, str] = {}
        self.gone = ""
        self._versions = itertools.count(1)
        self._lock = threading.Lock()
        self._over = threading.Event()

    def put(self, path: str, document: dict[str, Any]) -> None:
        """Place an object, such as at /api/v1/namespaces/roads/pods/a."""
        metadata = document.setdefault("metadata", {}) | {"resourceVersion": str(next(self._versions))}
        self.known[path] = document | {"metadata": metadata | {"uid": f"uid-of-{path}"}}

    def close(self) -> None:
        """End every watch."""
        self._over.set()

    def __call__(self, call: Call) -> Answer:
        """Answer one request."""
        if call.path.rpartition("/")[2] in self.unreadable:
            return status(403, "Forbidden", "not yours")
        if "watch" in call.query:
            return Answer(events=self._quiet())
        with self._lock:
            answer: Answer = getattr(self, call.method.lower())(call)
            return answer

    def get(self, call: Call) -> Answer:
        if call.path in self.known:
            return Answer(document=self.known[call.path])
        inside = [item for path, item in self.known.items() if path.rpartition("/")[0] == call.path]
        single = call.path.rpartition("/")[0].rpartition("/")[2] in {"configmaps", "jobs", "pods", "services"}
        if single or call.path == self.gone:
            return status(404, "NotFound")
        wanted = [part for part in call.query.get("labelSelector", "").split(",") if part]
        return items(*(item for item in inside if all(_chosen(item, part) for part in wanted)))

    def post(self, call: Call) -> Answer:
        if call.path.endswith("selfsubjectaccessreviews"):
            asked = call.body["spec"]["resourceAttributes"]
            resource = asked["resource"] + (f"/{asked['subresource']}" if asked.get("subresource") else "")
            allowed = (asked["verb"], resource) not in self.forbidden
            return Answer(201, call.body | {"status": {"allowed": allowed}})
        path = f"{call.path}/{call.body['metadata']['name']}"
        if why := self.refuses.get(call.body["kind"]):
            return status(422, "Invalid", why)
        if path in self.known:
            return status(409, "AlreadyExists")
        if call.query.get("dryRun") != "All":
            self.put(path, copy.deepcopy(call.body))
        return Answer(201, self.known.get(path, call.body))

    def patch(self, call: Call) -> Answer:
        there = self.known[call.path]
        if call.body["metadata"].get("resourceVersion", "") not in {"", there["metadata"]["resourceVersion"]}:
            return status(409, "Conflict")
        self.put(call.path, _merged(there, call.body))
        return Answer(document=self.known[call.path])

    def delete(self, call: Call) -> Answer:
        return Answer(document=self.known.pop(call.path, {}))

    def _quiet(self) -> Any:
        self._over.wait(60)
        yield from ()


def _chosen(item: dict[str, Any], part: str) -> bool:
    labels = item["metadata"].get("labels") or {}
    key, _, value = part.partition("=")
    return labels.get(key) == value if "=" in part else key in labels


def _merged(there: Any, patch: Any) -> Any:
    """Return what a merge patch makes of a document (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    there = there if isinstance(there, dict) else {}
    both = {**there, **{key: _merged(there.get(key), value) for key, value in patch.items()}}
    return {key: value for key, value in both.items() if value is not None}


@contextmanager
def chart_installed() -> Iterator[Objects]:
    """Yield the memory of a namespace `roads` that has the chart's Job templates."""
    with closing(Objects()) as objects:
        for name in NAMES:
            objects.put(f"/apis/batch/v1/namespaces/roads/cronjobs/touge-{name}", cronjob(name))
        yield objects


@contextmanager
def at_a_laptop(folder: Path, objects: Objects, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """Serve a memory to command lines in a folder with a recipe, which know the API server and no store."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    with serving(folder) as api:
        api.script = objects
        monkeypatch.chdir(folder)
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig))
        monkeypatch.setenv("TOUGE_RUNNER", "kubernetes")
        monkeypatch.setenv("TOUGE_HOME", str(folder / "home"))
        monkeypatch.delenv("TOUGE_STORE", raising=False)
        yield api
