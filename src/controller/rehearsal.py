"""Objects to an API server that checks them as if they were made, and makes none (`dryRun=All`).

https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from controller.manifests import Object
from controller.runners.kubernetes.client import KINDS
from controller.runners.kubernetes.connection import Connection, Refused, Request, Unanswered
from controller.runners.kubernetes.refusals import Asked, NotAllowed, QuotaExceeded, refusal
from touge.contract.errors import AlreadyExists, InfrastructureError


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What the server says of one object.

    Args:
        name: Its kind and name.
        accepted: Whether it would be made; None where we may not ask, or where a quota has no room now.
        said: What the server said, where it was not simply accepted.
    """

    name: str
    accepted: bool | None
    said: str = ""


def rehearse(connection: Connection, objects: Iterable[Object]) -> list[Rehearsed]:
    """Return what the server says of each object.

    Raises:
        InfrastructureError: If it does not answer.
    """
    return [_rehearse(connection, item) for item in objects]


def _rehearse(connection: Connection, item: Object) -> Rehearsed:
    resource, name = KINDS[item["kind"]], f"{item['kind']} {item['metadata']['name']}"
    root = "apis" if "/" in resource.api else "api"
    path = f"/{root}/{resource.api}/namespaces/{connection.namespace}/{resource.plural}"
    body = item | {"metadata": item["metadata"] | {"namespace": connection.namespace}}
    try:
        connection.send(Request("POST", path, [("dryRun", "All")], body)).close()
    except Unanswered as error:
        raise InfrastructureError(f"{connection.server} does not answer: {error}") from error
    except Refused as error:
        asked = Asked("create", resource.plural, connection.namespace)
        return _refused(name, refusal(error.status, error.body, asked))
    return Rehearsed(name, accepted=True)


def _refused(name: str, error: Exception) -> Rehearsed:
    match error:
        case AlreadyExists():
            return Rehearsed(name, accepted=True, said="is there already")
        case NotAllowed() | QuotaExceeded():
            return Rehearsed(name, accepted=None, said=str(error))
        case InfrastructureError():
            raise error
        case _:
            return Rehearsed(name, accepted=False, said=str(error))
