"""The connection to an API server: where it is, who we are, one request. The only module that imports `kubernetes`.

Credentials change while a controller runs (tokens expire, kubeconfigs are written anew), so they are loaded again when
the server does not know us, and from time to time. Nothing here retries or knows what is asked for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from controller.runners.kubernetes.deferred import deferred
from touge.contract.errors import SettingsError, TougeError

with deferred("kubernetes", "kubernetes.client", "kubernetes.client.models"):
    from kubernetes import client, config
    from kubernetes.client.exceptions import ApiException
    from kubernetes.config.config_exception import ConfigException

#: A kubeconfig is read again after so long, for certificates and tokens that are written anew.
_FRESH_S = 25 * 60
_CONNECT_S = 5.0
_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Unanswered(TougeError):
    """No answer came: nobody listened, the connection broke, or it took too long."""


class Refused(TougeError):
    """The server answered with an error.

    Args:
        status: HTTP status.
        body: What it said, as text.
        retry_after_s: Seconds that it asks for, if it does.
    """

    def __init__(self, status: int, body: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(f"HTTP {status}: {body}")
        self.status, self.body, self.retry_after_s = status, body, retry_after_s


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; `read_s` is the longest silence, in seconds, while the answer is read."""

    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    body: Mapping[str, Any] | None = None
    content: str = "application/json"
    accept: str = "application/json"
    read_s: float = 30.0


class Connection:
    """An API server and our credentials for it.

    Args:
        load: Returns a configured client; called again when credentials may have changed.
        namespace: Where the objects live.
    """

    def __init__(self, load: Callable[[], client.ApiClient], namespace: str) -> None:
        self._load, self.namespace = load, namespace
        self._client = load()
        self._loaded_s = time.monotonic()

    @property
    def server(self) -> str:
        """Address of the API server."""
        return str(self._client.configuration.host)

    def reload(self) -> None:
        """Read the credentials again."""
        self._client = self._load()
        self._loaded_s = time.monotonic()

    def send(self, request: Request) -> urllib3.BaseHTTPResponse:
        """Return the answer, not yet read.

        Raises:
            Unanswered: If there is none.
            Refused: If it is an error.
        """
        if time.monotonic() - self._loaded_s > _FRESH_S:
            self.reload()
        try:
            answer: urllib3.BaseHTTPResponse = self._client.call_api(
                request.path,
                request.method,
                query_params=list(request.query),
                header_params={"Accept": request.accept, "Content-Type": request.content},
                body=request.body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=(_CONNECT_S, request.read_s),
            )
        except ApiException as error:
            if not error.status:
                raise Unanswered(str(error.reason)) from error
            raise Refused(error.status, str(error.body or ""), _seconds(error.headers)) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unanswered(str(error)) from error
        except AttributeError as error:
            # Of a TLS connection that broke the client decodes the body, and there is none.
            if not isinstance(error.__context__, ApiException):
                raise
            raise Unanswered(str(error.__context__.reason)) from error
        return answer


def connect(namespace: str | None = None, context: str | None = None) -> Connection:
    """Return the connection that a kubeconfig describes, or that a pod is given.

    Args:
        namespace: None means the context's, in a pod the pod's own.
        context: One of the kubeconfig; None means its current one.

    Raises:
        SettingsError: If there is neither, or it cannot be used.
    """
    path = _kubeconfig()
    if path is None and context is None and "KUBERNETES_SERVICE_HOST" in os.environ:
        return Connection(_from_pod, namespace or _namespace_of_pod())
    return Connection(lambda: _from_kubeconfig(path, context), namespace or _namespace_of(path, context))


def _kubeconfig() -> str | None:
    """Return the path, or paths joined by colons, of the kubeconfig that is there."""
    given = os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
    return given if any(Path(part).is_file() for part in given.split(os.pathsep) if part) else None


def _from_kubeconfig(path: str | None, context: str | None) -> client.ApiClient:
    settings = _settings()
    with _Explained(path):
        config.load_kube_config(config_file=path, context=context, client_configuration=settings)
    return client.ApiClient(settings)


def _from_pod() -> client.ApiClient:
    settings = _settings()
    with _Explained("the pod's service account"):
        config.load_incluster_config(client_configuration=settings)
    return client.ApiClient(settings)


def _settings() -> client.Configuration:
    settings = client.Configuration()
    settings.retries = False
    return settings


def _namespace_of(path: str | None, context: str | None) -> str:
    with _Explained(path):
        contexts, current = config.list_kube_config_contexts(config_file=path)
    chosen = next((item for item in contexts if item["name"] == context), current if context is None else None)
    if chosen is None:
        known = ", ".join(item["name"] for item in contexts)
        raise SettingsError(f"no context {context!r} in {path}; it has {known}")
    return str(chosen["context"].get("namespace") or "default")


def _namespace_of_pod() -> str:
    return _POD_NAMESPACE.read_text("utf-8").strip() if _POD_NAMESPACE.is_file() else "default"


class _Explained:
    """Turns what the client library says about its configuration into what a person can act on."""

    def __init__(self, source: str | None) -> None:
        self._source = source

    def __enter__(self) -> None:
        if self._source is None:
            raise SettingsError(
                "no Kubernetes cluster is known here: no file at KUBECONFIG or ~/.kube/config, and this is no pod. "
                "Set KUBECONFIG, or run on this machine without --runner kubernetes"
            )

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, ConfigException | OSError | KeyError | TypeError | ValueError):
            raise SettingsError(f"{self._source}: {error}. `kubectl config view` shows what it holds") from error


def _seconds(headers: Mapping[str, str] | None) -> float | None:
    """Return what Retry-After asks for; a date is left to our own patience."""
    text = (headers or {}).get("Retry-After", "")
    return float(text) if text.isdigit() else None
