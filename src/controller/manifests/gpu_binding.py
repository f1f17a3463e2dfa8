"""A pod bound to GPU nodes, or released from them: node affinity, GPU count, tolerations, claims. Pure.

A template is rendered for its method's usual need; a recipe may ask for more memory, several GPUs, or none. So
whatever binds the template's pod is taken off first, and what the need asks for is put on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.manifests.claims import CLAIM
from controller.manifests.podspec import Spec, with_stage, without_empty
from controller.placement.affinity import Need, Placement, node_affinity


def bound(pod: Mapping[str, Any], need: Need | None, placement: Placement, claim: str) -> Spec:
    """Return the pod spec bound to nodes that meet the need.

    Args:
        pod: Pod spec of a template, bound in whatever way by the same placement.
        need: None releases it from GPU nodes.
        placement: The platform's choices.
        claim: Name of the ResourceClaimTemplate, where GPUs are claimed.

    Raises:
        SettingsError: If no node could ever match.
    """
    released = _released(pod, placement)
    if need is None:
        return released
    released |= {
        "tolerations": [*released.get("tolerations", ()), *(item.rendered() for item in placement.tolerations)],
        "nodeSelector": released.get("nodeSelector", {}) | dict(placement.node_selector),
    }
    if placement.dynamic_allocation:
        return without_empty(_claiming(released, claim) | _own_affinity(placement))
    affinity = _own_affinity(placement) or {
        "affinity": released.get("affinity", {}) | {"nodeAffinity": node_affinity(need, placement)}
    }
    limit = {placement.resource: str(need.gpus)}
    return without_empty(with_stage(released, lambda stage: _with_resources(stage, "limits", limit)) | affinity)


def _own_affinity(placement: Placement) -> Spec:
    return {} if placement.affinity is None else {"affinity": placement.affinity}


def _claiming(pod: Spec, claim: str) -> Spec:
    claims = [*pod.get("resourceClaims", ()), {"name": CLAIM, "resourceClaimTemplateName": claim}]
    return with_stage(pod, _with_claim) | {"resourceClaims": claims}


def _with_claim(stage: Spec) -> Spec:
    resources = stage.get("resources", {})
    return stage | {"resources": resources | {"claims": [*resources.get("claims", ()), {"name": CLAIM}]}}


def _with_resources(stage: Spec, kind: str, more: Mapping[str, str]) -> Spec:
    resources = stage.get("resources", {})
    return stage | {"resources": resources | {kind: resources.get(kind, {}) | more}}


def _released(pod: Mapping[str, Any], placement: Placement) -> Spec:
    """Return the pod spec without what binds it to GPU nodes."""
    tolerated = [toleration.rendered() for toleration in placement.tolerations]
    selector = {k: v for k, v in pod.get("nodeSelector", {}).items() if placement.node_selector.get(k) != v}
    affinity = {} if placement.affinity else {k: v for k, v in pod.get("affinity", {}).items() if k != "nodeAffinity"}
    changes = {
        "affinity": affinity,
        "nodeSelector": selector,
        "tolerations": [item for item in pod.get("tolerations", ()) if item not in tolerated],
        "resourceClaims": [item for item in pod.get("resourceClaims", ()) if item["name"] != CLAIM],
    }
    return without_empty(with_stage(pod, lambda stage: _without_gpus(stage, placement.resource)) | changes)


def _without_gpus(stage: Spec, resource: str) -> Spec:
    resources = stage.get("resources", {})
    kept = {
        kind: {name: amount for name, amount in resources.get(kind, {}).items() if name != resource}
        for kind in ("limits", "requests")
    } | {"claims": [claim for claim in resources.get("claims", ()) if claim["name"] != CLAIM]}
    return without_empty(stage | {"resources": without_empty(resources | kept)})
