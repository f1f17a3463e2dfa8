"""GPUs by dynamic resource allocation: a need in, a ResourceClaimTemplate out. Opt-in; pure.

Used instead of node affinity where the platform asks for it: the scheduler then looks at each device that a driver
publishes, so no node label is needed. Kubernetes 1.34 and newer.
https://github.com/NVIDIA/k8s-dra-driver-gpu
"""

from __future__ import annotations

from typing import Any

from controller.placement.affinity import DynamicAllocation, Need, Placement, memory_range
from controller.placement.hardware import GB, GIB

#: The claim's name in a pod, and the request's in the claim.
CLAIM = "gpu"
_MIB = 2**20


def claim_spec(need: Need, placement: Placement, dynamic: DynamicAllocation) -> dict[str, Any]:
    """Return the spec of a ResourceClaimTemplate: that many GPUs, each with that memory.

    Raises:
        SettingsError: If no GPU could ever match.
    """
    exactly = {
        "deviceClassName": dynamic.device_class,
        "allocationMode": "ExactCount",
        "count": need.gpus,
        "selectors": [{"cel": {"expression": _expression(need, placement, dynamic.domain)}}],
    }
    return {"spec": {"devices": {"requests": [{"name": CLAIM, "exactly": exactly}]}}}


def _expression(need: Need, placement: Placement, domain: str) -> str:
    """Return the device's condition in CEL; whole MiB, rounded as node labels are."""
    memory, version = f"device.capacity['{domain}'].memory", f"device.attributes['{domain}'].driverVersion"
    low, high = memory_range(need, placement)
    conditions = [f"{memory}.compareTo(quantity('{low * GB // _MIB}Mi')) >= 0"]
    if high is not None:
        conditions.append(f"{memory}.compareTo(quantity('{high * GIB // _MIB}Mi')) <= 0")
    if placement.driver is not None:
        conditions.append(f"{version}.compareTo(semver('{placement.driver}.0.0')) >= 0")
    return " && ".join(conditions)
