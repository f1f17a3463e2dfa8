"""Attempt + template + owner -> the Kubernetes objects that are sent, as plain dicts. Pure.

Last pure step before a runner creates them; it reads no cluster, no clock and no store. The template brings image,
security, volumes, queue and placement; the plan brings the rest. Of the template's Job only the pod is taken: how pods
are counted, retried and ended is this module's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.manifests import failure_policy
from controller.manifests.claims import claim_spec
from controller.manifests.gpu_binding import bound
from controller.manifests.podspec import PLAN_FILE, equipped, without_empty
from controller.manifests.templates import Template, template_name, untracked
from controller.placement.affinity import Need, need_of
from controller.placement.hardware import TABLE
from controller.runners.supervise import GRACE_S
from touge.contract import environment
from touge.contract.errors import SettingsError
from touge.contract.plan import Plan, Stage, StageName

#: The run record's ConfigMap holds the plan under this key.
PLAN_KEY = "plan"
RUN, STAGE_LABEL, ATTEMPT, SHARD = "touge/run", "touge/stage", "touge/attempt", "touge/shard"

#: Where node 0 of several listens (torch's usual port).
_MASTER_PORT = "29500"
#: Added to limits.hours: the deadline burns while a Job waits for nodes or in a queue, so it is only a backstop.
_WAITING_S = 30 * 86_400
#: A Job's name becomes a pod's host name with `-<index>` behind it: at most 63 characters in all (RFC 1123).
_LONGEST_NAME = 63 - len("-99999")
_HASH = 10

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Owner:
    """The run record's ConfigMap: it owns what is made for the run, and holds the plan."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a stage.

    Args:
        plan: The run's plan.
        name: The stage.
        number: Which try it is, from 1.
        shard: One shard of a mapped stage, tried again alone; None means all of them.
    """

    plan: Plan
    name: StageName
    number: int = 1
    shard: int | None = None

    @property
    def stage(self) -> Stage:
        """The stage as planned."""
        return self.plan.stage(self.name)

    @property
    def nodes(self) -> int:
        """Pods that work together."""
        return self.plan.recipe.resources.nodes if self.name == "train" else 1

    @property
    def shards(self) -> int | None:
        """Pods that work apart, each on its shard; None where one pod, or one set of them, does it all."""
        return self.stage.shards if self.stage.mapped and self.shard is None else None

    @property
    def job(self) -> str:
        """Name of the Job: the same for the same try, whoever makes it."""
        alone = "" if self.shard is None else f"-s{self.shard}"
        name = f"{self.plan.run}-{self.name}{alone}-{self.number}"
        if len(name) <= _LONGEST_NAME:
            return name
        digest = hashlib.sha256(name.encode()).hexdigest()[:_HASH]
        return f"{name[: _LONGEST_NAME - _HASH - 1].rstrip('-')}-{digest}"


def render(attempt: Attempt, templates: Mapping[str, Template], owner: Owner) -> tuple[Object, ...]:
    """Return the objects of an attempt in the order in which they are created; the Job is the last.

    Raises:
        SettingsError: If the template is missing, or no node could ever run the pods.
    """
    template = _template(attempt, templates)
    need = need_of(attempt.name, attempt.plan.recipe, template.placement)
    job = _object("batch/v1", "Job", attempt, template, owner)
    job["metadata"] = without_empty(job["metadata"] | {"annotations": dict(template.annotations)})
    job["spec"] = _control(attempt) | {"template": _pod(attempt, template, owner, need)}
    return (*_services(attempt, template, owner), *_claims(attempt, template, owner, need), job)


def _template(attempt: Attempt, templates: Mapping[str, Template]) -> Template:
    name = template_name(attempt.name, attempt.plan.recipe.train.method)
    if name not in templates:
        known = ", ".join(sorted(templates)) or "none"
        raise SettingsError(f"no Job template {name} for {attempt.name}; there is {known}. Install the chart with it")
    return templates[name]


def _object(version: str, kind: str, attempt: Attempt, template: Template, owner: Owner) -> Object:
    """Return an object's head: labelled as the Job, owned by the run record alone."""
    metadata = {
        "name": attempt.job,
        "namespace": template.namespace,
        "labels": dict(template.labels) | _labels(attempt),
        "ownerReferences": [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "name": owner.name,
                "uid": owner.uid,
                "controller": False,
                "blockOwnerDeletion": False,
            }
        ],
    }
    return {"apiVersion": version, "kind": kind, "metadata": without_empty(metadata)}


def _labels(attempt: Attempt) -> dict[str, str]:
    labels = {
        "app.kubernetes.io/managed-by": "touge",
        RUN: attempt.plan.run,
        STAGE_LABEL: attempt.name,
        ATTEMPT: str(attempt.number),
    }
    return labels | ({} if attempt.shard is None else {SHARD: str(attempt.shard)})


def _control(attempt: Attempt) -> Object:
    """Return how many pods there are and what becomes of the Job when one ends."""
    common = {
        "podReplacementPolicy": "Failed",
        "activeDeadlineSeconds": int(attempt.plan.recipe.limits.hours * 3600) + _WAITING_S,
    }
    if attempt.nodes > 1:
        return common | _indexed(attempt.nodes) | _failing(failure_policy.several_nodes())
    if attempt.shards:
        policy = failure_policy.shards()
        return common | _indexed(attempt.shards) | {"backoffLimitPerIndex": 0, "podFailurePolicy": policy}
    return common | _failing(failure_policy.single_pod())


def _indexed(count: int) -> Object:
    return {"completionMode": "Indexed", "completions": count, "parallelism": count}


def _failing(policy: Object) -> Object:
    """Return a Job that ends at the first pod that its policy does not ignore; the controller tries again."""
    return {"backoffLimit": 0, "podFailurePolicy": policy}


def _pod(attempt: Attempt, template: Template, owner: Owner, need: Need | None) -> Object:
    given = template.pod.get("metadata", {})
    metadata = {
        "labels": untracked(given.get("labels")) | _labels(attempt),
        "annotations": untracked(given.get("annotations")),
    }
    method = TABLE.methods[attempt.plan.recipe.train.method]
    spec = equipped(
        bound(template.pod["spec"], need, template.placement, attempt.job),
        told=_told(attempt),
        plan={"configMap": {"name": owner.name, "items": [{"key": PLAN_KEY, "path": PLAN_FILE}]}},
        grace_s=method.grace_seconds if attempt.name == "train" else GRACE_S,
    )
    together = {"subdomain": attempt.job} if attempt.nodes > 1 else {}
    return {"metadata": without_empty(metadata), "spec": spec | together}


def _told(attempt: Attempt) -> dict[str, str]:
    """Return what the stage is told of its attempt; Kubernetes itself tells the index in an Indexed Job."""
    told = {environment.STAGE: attempt.name, environment.ATTEMPT: str(attempt.number)}
    if attempt.shard is not None:
        told[environment.INDEX] = str(attempt.shard)
    if attempt.nodes > 1:
        told |= {"MASTER_ADDR": f"{attempt.job}-0.{attempt.job}", "MASTER_PORT": _MASTER_PORT}
    return told


def _services(attempt: Attempt, template: Template, owner: Owner) -> list[Object]:
    """Return the headless Service by which several nodes find node 0, also before it is ready."""
    if attempt.nodes == 1:
        return []
    spec = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": {"batch.kubernetes.io/job-name": attempt.job},
        "ports": [{"name": "rendezvous", "port": int(_MASTER_PORT)}],
    }
    return [_object("v1", "Service", attempt, template, owner) | {"spec": spec}]


def _claims(attempt: Attempt, template: Template, owner: Owner, need: Need | None) -> list[Object]:
    """Return the ResourceClaimTemplate, where GPUs are claimed and not counted."""
    dynamic = template.placement.dynamic_allocation
    if need is None or dynamic is None:
        return []
    head = _object("resource.k8s.io/v1", "ResourceClaimTemplate", attempt, template, owner)
    return [head | {"spec": claim_spec(need, template.placement, dynamic)}]
