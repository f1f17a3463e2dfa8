"""One namespace of a cluster: objects as plain dicts, with the patience that an API server asks for.

Over `connection` lie here the rules of who waits and who gives up: a busy or restarting server is asked again with a
growing, jittered pause; a lost race is told to the caller; everything else is a person's to mend.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import urllib3

from controller.runners.kubernetes.connection import Connection, Refused, Request, Unanswered, connect
from controller.runners.kubernetes.refusals import Asked, Expired, refusal
from touge.contract.errors import InfrastructureError, ObjectNotFound

Object = dict[str, Any]
Propagation = Literal["Background", "Foreground"]
Answer = TypeVar("Answer")

#: Answers of a server, or of what stands before it, that is busy or restarting.
_PASSING = frozenset({429, 500, 502, 503, 504})
_TRIES = 6
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 10.0
_PAGE = 500
_METADATA = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"
_MERGE_PATCH = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object by its API, such as `batch/v1` and `jobs`."""

    api: str
    plural: str
    namespaced: bool = True


CONFIG_MAPS = Resource("v1", "configmaps")
PODS = Resource("v1", "pods")
EVENTS = Resource("v1", "events")
SERVICES = Resource("v1", "services")
NODES = Resource("v1", "nodes", namespaced=False)
JOBS = Resource("batch/v1", "jobs")
CRON_JOBS = Resource("batch/v1", "cronjobs")
CLAIM_TEMPLATES = Resource("resource.k8s.io/v1", "resourceclaimtemplates")

#: By the kind that a manifest names.
KINDS: Mapping[str, Resource] = {"Job": JOBS, "Service": SERVICES, "ResourceClaimTemplate": CLAIM_TEMPLATES}


@dataclass(frozen=True, slots=True)
class Listing:
    """Objects, and the version from which a watch goes on."""

    items: tuple[Object, ...]
    version: str


class Cluster:
    """The objects of one namespace.

    Every call ends, at the latest after its timeout and some tries, with an answer or one of `touge.contract.errors`.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        sleep: Callable[[float], None] = time.sleep,
        random_share: Callable[[], float] = random.random,
    ) -> None:
        self._connection, self._sleep, self._random_share = connection, sleep, random_share

    @classmethod
    def connect(cls, namespace: str | None = None, context: str | None = None) -> Cluster:
        """Return the cluster that the kubeconfig, or the pod that this is, knows; raises SettingsError."""
        return cls(connect(namespace, context))

    @property
    def namespace(self) -> str:
        """Where the objects live."""
        return self._connection.namespace

    @property
    def server(self) -> str:
        """Address of the API server."""
        return self._connection.server

    def get(self, resource: Resource, name: str) -> Object:
        """Return an object; raises ObjectNotFound."""
        return self._object("GET", "get", resource, name)

    def list(self, resource: Resource, selector: str = "", fields: str = "", *, metadata: bool = False) -> Listing:
        """Return all objects that the selectors choose.

        Args:
            resource: Their kind.
            selector: Labels.
            fields: Fields, as `fieldSelector` has them.
            metadata: Of each object the metadata alone, which is little to send.
        """
        try:
            return self._pages(resource, selector, fields, str(_PAGE), metadata=metadata)
        except Expired:
            return self._pages(resource, selector, fields, "", metadata=metadata)

    def create(self, resource: Resource, body: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """Create an object, or have it checked only; raises AlreadyExists, also where an earlier answer was lost."""
        query = [("dryRun", "All")] if dry_run else []
        return self._object("POST", "create", resource, "", body=body, query=query)

    def replace(self, resource: Resource, body: Mapping[str, Any]) -> Object:
        """Write an object whole; raises Conflict if it has another resourceVersion than `body`."""
        return self._object("PUT", "update", resource, body["metadata"]["name"], body=body)

    def patch(self, resource: Resource, name: str, body: Mapping[str, Any]) -> Object:
        """Merge a patch into an object; raises Conflict if the patch names another resourceVersion."""
        return self._object("PATCH", "patch", resource, name, body=body, content=_MERGE_PATCH)

    def delete(
        self,
        resource: Resource,
        name: str,
        *,
        propagation: Propagation = "Background",
        grace_s: int | None = None,
        uid: str | None = None,
    ) -> None:
        """Delete an object; a missing one is fine, and one of another uid is left alone (Conflict)."""
        options: Object = {"propagationPolicy": propagation}
        options |= {} if grace_s is None else {"gracePeriodSeconds": grace_s}
        options |= {} if uid is None else {"preconditions": {"uid": uid}}
        try:
            self._object("DELETE", "delete", resource, name, body=options)
        except ObjectNotFound:
            return

    def log(
        self, pod: str, container: str, *, since: str = "", tail: int | None = None, tries: int = _TRIES
    ) -> Iterator[str]:
        """Yield what a container has said so far, each line with its time before it.

        Args:
            pod: Its name.
            container: Its name.
            since: RFC 3339 time of the oldest line wanted; whole seconds count.
            tail: That many of the last lines only.
            tries: How often to ask; the answer comes from the pod's node, which may be gone.
        """
        query = [("container", container), ("timestamps", "true")]
        query += [("sinceTime", since)] if since else []
        query += [] if tail is None else [("tailLines", str(tail))]
        asked = Asked("get", "pods/log", self.namespace, pod)
        request = Request("GET", f"{self._path(PODS, pod)}/log", query, accept="*/*")
        answer = self._patiently(lambda: self._connection.send(request), asked, tries)
        yield from _lines(answer, asked)

    def watch(
        self, resource: Resource, version: str, selector: str, *, seconds: int, quiet_s: float
    ) -> Iterator[Object]:
        """Yield events from a version on, bookmarks too, until the server ends the watch; objects as metadata alone.

        Args:
            resource: Kind of the objects.
            version: As a listing or an event told it; never computed with.
            selector: Labels.
            seconds: After which the server is to end it.
            quiet_s: Longest silence; bookmarks come about once a minute.

        Raises:
            Expired: If the version is too old.
            InfrastructureError: If the connection broke.
        """
        query = [("watch", "true"), ("allowWatchBookmarks", "true"), ("resourceVersion", version)]
        query += [("labelSelector", selector), ("timeoutSeconds", str(seconds))]
        asked = Asked("watch", resource.plural, self.namespace)
        request = Request("GET", self._path(resource), query, accept=_METADATA.format(""), read_s=quiet_s)
        for line in _lines(self._patiently(lambda: self._connection.send(request), asked), asked):
            event = _event(line, asked)
            if event.get("type") == "ERROR":
                said = event.get("object", {})
                raise refusal(int(said.get("code") or 500), json.dumps(said), asked)
            yield event

    def serves(self, group: str) -> str | None:
        """Return the version of an API group that the server prefers, or None where it does not have the group."""
        asked = Asked("get", f"API group {group}", None)
        try:
            answer = self._read(Request("GET", f"/apis/{group}"), asked)
        except ObjectNotFound:
            return None
        return str(answer["preferredVersion"]["version"])

    def _pages(self, resource: Resource, selector: str, fields: str, limit: str, *, metadata: bool) -> Listing:
        asked = Asked("list", resource.plural, self.namespace if resource.namespaced else None)
        fixed = [("labelSelector", selector), ("fieldSelector", fields), ("limit", limit)]
        items: list[Object] = []
        token = ""
        while True:
            query = [(key, value) for key, value in [*fixed, ("continue", token)] if value]
            accept = _METADATA.format("List") if metadata else "application/json"
            answer = self._read(Request("GET", self._path(resource), query, accept=accept), asked)
            items += answer.get("items") or []
            token = answer["metadata"].get("continue", "")
            if not token:
                return Listing(tuple(items), str(answer["metadata"].get("resourceVersion", "")))

    def _object(self, method: str, verb: str, resource: Resource, name: str, **more: Any) -> Object:
        namespace = self.namespace if resource.namespaced else None
        return self._read(
            Request(method, self._path(resource, name), **more), Asked(verb, resource.plural, namespace, name)
        )

    def _path(self, resource: Resource, name: str = "") -> str:
        root = f"/apis/{resource.api}" if "/" in resource.api else f"/api/{resource.api}"
        where = f"/namespaces/{self.namespace}" if resource.namespaced else ""
        return f"{root}{where}/{resource.plural}" + (f"/{name}" if name else "")

    def _read(self, request: Request, asked: Asked) -> Object:
        """Return the whole answer; a connection that breaks while it is read counts as no answer."""

        def whole() -> bytes:
            answer = self._connection.send(request)
            try:
                return answer.data
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise Unanswered(str(error)) from error

        document: Object = json.loads(self._patiently(whole, asked))
        return document

    def _patiently(self, ask: Callable[[], Answer], asked: Asked, tries: int = _TRIES) -> Answer:
        """Ask until there is an answer that another try would not change."""
        known = True
        for tried in range(1, tries + 1):
            try:
                return ask()
            except Unanswered as error:
                if tried == tries:
                    raise self._silent(asked, str(error)) from error
                self._pause(tried, None)
            except Refused as error:
                unknown = error.status == 401 and known
                if not unknown and (error.status not in _PASSING or tried == tries):
                    raise refusal(error.status, error.body, asked) from error
                if unknown:
                    known = False
                    self._connection.reload()
                else:
                    self._pause(tried, error.retry_after_s)
        raise self._silent(asked, "no answer")

    def _silent(self, asked: Asked, error: str) -> InfrastructureError:
        return InfrastructureError(f"could not {asked}: {self.server} does not answer ({error})")

    def _pause(self, tried: int, asked_s: float | None) -> None:
        own_s = _FIRST_PAUSE_S * 2 ** (tried - 1) * (1 + self._random_share())
        self._sleep(min(_LONGEST_PAUSE_S, own_s if asked_s is None else asked_s + self._random_share()))


def _event(line: str, asked: Asked) -> Object:
    """Return an event; half a line is what is left where a proxy ends the answer in its midst."""
    try:
        event: Object = json.loads(line)
    except ValueError as error:
        raise InfrastructureError(f"{asked}: the connection broke within an event") from error
    return event


def _lines(answer: urllib3.BaseHTTPResponse, asked: Asked) -> Iterator[str]:
    """Yield the lines of an answer as they come, and hang up at the end."""
    rest = b""
    try:
        for chunk in answer.stream(65_536, decode_content=True):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (line.decode(errors="replace") for line in lines if line)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise InfrastructureError(f"{asked}: the connection broke: {error}") from error
    finally:
        answer.close()
    if rest:
        yield rest.decode(errors="replace")
