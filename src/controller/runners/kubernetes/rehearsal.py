"""Objects to an API server that checks them as if they were made, and makes none (`dryRun=All`).

https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from controller.manifests.job import Object
from controller.runners.kubernetes.client import KINDS, Cluster
from controller.runners.kubernetes.refusals import NotAllowed, QuotaExceeded
from touge.contract.errors import AlreadyExists, InfrastructureError, TougeError


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


def rehearse(cluster: Cluster, objects: Iterable[Object]) -> list[Rehearsed]:
    """Return what the server says of each object.

    Raises:
        InfrastructureError: If it does not answer.
    """
    return [_rehearse(cluster, item) for item in objects]


def _rehearse(cluster: Cluster, item: Object) -> Rehearsed:
    name = f"{item['kind']} {item['metadata']['name']}"
    body = item | {"metadata": item["metadata"] | {"namespace": cluster.namespace}}
    try:
        cluster.create(KINDS[item["kind"]], body, dry_run=True)
    except TougeError as error:
        return _refused(name, error)
    return Rehearsed(name, accepted=True)


def _refused(name: str, error: TougeError) -> Rehearsed:
    match error:
        case AlreadyExists():
            return Rehearsed(name, accepted=True, said="is there already")
        case NotAllowed() | QuotaExceeded():
            return Rehearsed(name, accepted=None, said=str(error))
        case InfrastructureError():
            raise error
        case _:
            return Rehearsed(name, accepted=False, said=str(error))
