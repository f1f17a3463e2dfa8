"""What our account may do in the namespace, asked of the API server itself, against what the chart's roles grant.

https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/self-subject-access-review-v1/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.doctor.finding import Finding
from controller.runners.kubernetes.client import Cluster, Resource

_REVIEWS = Resource("authorization.k8s.io/v1", "selfsubjectaccessreviews", namespaced=False)


@dataclass(frozen=True, slots=True)
class Right:
    """Verbs on one resource; a subresource follows a slash."""

    group: str
    resource: str
    verbs: tuple[str, ...]


#: As templates/_rights.tpl of the chart has them.
SUBMITTER = (
    Right("", "configmaps", ("get", "list", "create", "patch", "delete")),
    Right("", "pods", ("list",)),
    Right("", "pods/log", ("get",)),
    Right("", "events", ("list",)),
    Right("batch", "jobs", ("list",)),
    Right("batch", "cronjobs", ("list",)),
)
RUNNER = (
    Right("batch", "jobs", ("get", "watch", "create", "delete")),
    Right("", "pods", ("watch", "delete")),
    Right("", "configmaps", ("watch",)),
    Right("", "services", ("get", "create", "delete")),
)
_WHY_NODES = "rbac.readNodes=true in the chart's values lets messages say which card is missing where"
_NODES = (Right("", "nodes", ("list",)),)


def rights(cluster: Cluster, *, operator: str) -> list[Finding]:
    """Return what may not be done.

    Args:
        cluster: Whom to ask, and in which namespace.
        operator: Who else sees runs through; without anybody, our own account must be allowed to make Jobs.
    """
    submits, runs, reads = (_missing(cluster, wanted) for wanted in (SUBMITTER, RUNNER, _NODES))
    left = f"runs are left to {operator}" if operator else ""
    return [
        Finding("right to submit", not submits, _said(submits), _ask("submitter")),
        Finding("right to run Jobs", bool(not runs or operator), _said(runs), _ask("runner"), left if runs else ""),
        Finding("right to read nodes", ok=True, found=_said(reads), hint=_WHY_NODES if reads else ""),
    ]


def _missing(cluster: Cluster, wanted: Sequence[Right]) -> list[str]:
    return [f"{verb} {right.resource}" for right in wanted for verb in right.verbs if not _may(cluster, right, verb)]


def _may(cluster: Cluster, right: Right, verb: str) -> bool:
    resource, _, subresource = right.resource.partition("/")
    attributes = {"group": right.group, "resource": resource, "subresource": subresource, "verb": verb}
    if right not in _NODES:
        attributes["namespace"] = cluster.namespace
    body = {
        "apiVersion": _REVIEWS.api,
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
    }
    return bool(cluster.create(_REVIEWS, body)["status"]["allowed"])


def _said(missing: Sequence[str]) -> str:
    return f"may not {', '.join(missing)}" if missing else "granted"


def _ask(role: str) -> str:
    return f"ask the platform team for the chart's role {role} (its value rbac.subjects.{role})"
