"""What an API server refuses -> an error that a person can act on. Pure.

Kubernetes answers with a Status document; the chart's roles are named so that one knows what to ask for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from touge.contract.errors import (
    AlreadyExists,
    Conflict,
    InfrastructureError,
    ObjectNotFound,
    SettingsError,
    TougeError,
)

#: What the chart's role `submitter` may do besides to list; the rest, and to watch, is `runner`'s.
_SUBMITTERS = frozenset({"configmaps", "pods/log", "localqueues"})
#: How refusals begin that are about the object and not about us: webhooks, admission policies, Pod Security.
_POLICIES = ("admission webhook", "denied the request", "denied request", "violates PodSecurity")


class Expired(InfrastructureError):
    """The version from which a list or a watch should go on is too old: list again."""


class NotAllowed(SettingsError):
    """Our credentials do not allow it; others' may."""


class Rejected(SettingsError):
    """The object is not acceptable to the cluster, whoever sends it."""


class QuotaExceeded(InfrastructureError):
    """The namespace's quota has no room now."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of the API server."""

    verb: str
    plural: str
    namespace: str | None
    name: str = ""

    def __str__(self) -> str:
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{self.verb} {self.plural}{f' {self.name}' if self.name else ''}{where}"

    @property
    def role(self) -> str:
        """The chart's role, or value, that allows it."""
        if self.namespace is None:
            return "the chart's value rbac.readNodes=true"
        small = self.verb == "list" or (self.plural in _SUBMITTERS and self.verb != "watch")
        name = "submitter" if small else "runner"
        return f"the chart's role {name} (its value rbac.subjects.{name})"


def refusal(status: int, body: str, asked: Asked) -> TougeError:
    """Return the error that an answer other than 2xx means.

    Args:
        status: HTTP status.
        body: The answer; a Status document, or whatever a proxy says.
        asked: What was asked for.
    """
    said = _document(body)
    message = str(said.get("message") or body.strip() or f"HTTP {status}")
    if status == 429 or status >= 500:
        return InfrastructureError(f"the API server could not {asked}: {message}")
    meanings: Mapping[int, Callable[[], TougeError]] = {
        401: lambda: _unknown(message),
        403: lambda: _forbidden(message, asked),
        404: lambda: _missing(message, said, asked),
        409: lambda: (AlreadyExists if said.get("reason") == "AlreadyExists" else Conflict)(f"{asked}: {message}"),
        410: lambda: Expired(f"{asked}: {message}"),
    }
    return meanings.get(status, lambda: _invalid(message, asked))()


def _document(body: str) -> Mapping[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _unknown(message: str) -> TougeError:
    return SettingsError(
        f"the API server does not know us ({message}): the token or certificate has expired, or is another cluster's. "
        "Log in again, so that `kubectl auth whoami` answers"
    )


def _forbidden(message: str, asked: Asked) -> TougeError:
    if "exceeded quota" in message:
        return QuotaExceeded(f"{asked}: {message}. Wait until other work ends, or ask for a larger quota")
    if any(words in message for words in _POLICIES):
        return _invalid(message, asked)
    if "being terminated" in message:
        return SettingsError(f"{asked}: the namespace is being deleted. Use another (TOUGE_NAMESPACE)")
    return NotAllowed(f"not allowed to {asked}: {message}. Ask the platform team for {asked.role}")


def _missing(message: str, said: Mapping[str, Any], asked: Asked) -> TougeError:
    if (said.get("details") or {}).get("kind") == "namespaces":
        return SettingsError(
            f"there is no namespace {asked.namespace!r}. Give the one that the chart is installed in (TOUGE_NAMESPACE)"
        )
    return ObjectNotFound(f"{asked}: {message}")


def _invalid(message: str, asked: Asked) -> TougeError:
    return Rejected(
        f"the cluster refuses to {asked}: {message}. The platform team's templates and policies must agree; "
        "`plan --render` shows what is sent"
    )
