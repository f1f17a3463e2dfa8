"""Who sees runs through in a cluster: the chart's controller, if one of its pods is ready.

A pod that is ready has listed the runs with its own rights (`operate`, /readyz), which a Deployment that is there does
not prove; and to read pods is what everybody may who may submit.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from controller.runners.kubernetes.client import PODS, Cluster

_CONTROLLER = "app.kubernetes.io/name=touge,app.kubernetes.io/component=controller"


@dataclass(frozen=True, slots=True)
class PodAttendance:
    """Attendance in one namespace.

    Args:
        cluster: Where the controller's pods are.
        release: The chart's release; None: any.
    """

    cluster: Cluster
    release: str | None

    def attending(self, run: str | None = None) -> AbstractContextManager[None]:  # noqa: ARG002 - the port's
        """Say nothing: a controller in the cluster is seen as a pod, and a command line comes and goes."""
        return nullcontext()

    def attended(self, run: str) -> bool:  # noqa: ARG002 - the port's; an operator works on all
        """Return whether a controller in the cluster is ready."""
        return bool(self.operator())

    def operator(self) -> str:
        """Return the name of a controller pod that is ready; empty where there is none."""
        selector = _CONTROLLER + (f",app.kubernetes.io/instance={self.release}" if self.release else "")
        pods = self.cluster.list(PODS, selector).items
        ready = (pod["metadata"]["name"] for pod in pods if _ready(pod))
        return next((f"pod {name} in namespace {self.cluster.namespace}" for name in ready), "")


def _ready(pod: Mapping[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    ready = any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]
