"""What the Job controller does about a pod that ends: podFailurePolicies, generated from the exit-code table. Pure.

Design §5. Kubernetes only tells apart what must not be tried inside the same Job; counting and waiting is `retries`.
Codes are named one by one, for a range would take 137, which is how an evicted pod's container ends.
https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from controller.manifests.podspec import STAGE
from touge.contract.exit_codes import RULES, UNCAUGHT, Consequence, ExitCode

_DISRUPTED = {"onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
_FAILING = frozenset(UNCAUGHT) | {rule.code for rule in RULES if rule.consequence is Consequence.FAIL}


def single_pod() -> dict[str, Any]:
    """Return the policy of a stage that one pod does."""
    return {"rules": [*_resumed(), _exit("FailJob", _FAILING)]}


def shards() -> dict[str, Any]:
    """Return the policy of a mapped stage: bad data fails its index, everything else that fails fails the Job."""
    data = {int(ExitCode.DATA)}
    return {"rules": [*_resumed(), _exit("FailIndex", data), _exit("FailJob", _FAILING - data)]}


def several_nodes() -> dict[str, Any]:
    """Return the policy of a training on several nodes: who is lost takes all with it.

    Otherwise only the lost index would come back, and NCCL's static ranks hang.
    """
    failed = {"containerName": STAGE, "operator": "NotIn", "values": [int(ExitCode.OK)]}
    return {"rules": [{"action": "FailJob", **_DISRUPTED}, {"action": "FailJob", "onExitCodes": failed}]}


def _resumed() -> list[dict[str, Any]]:
    """Return the rules of ends that cost nothing: evicted, or stopped with a checkpoint."""
    return [{"action": "Ignore", **_DISRUPTED}, _exit("Ignore", {int(ExitCode.INTERRUPTED)})]


def _exit(action: str, codes: Iterable[int]) -> dict[str, Any]:
    return {"action": action, "onExitCodes": {"containerName": STAGE, "operator": "In", "values": sorted(codes)}}
