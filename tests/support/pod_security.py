"""Pod Security "restricted" (https://kubernetes.io/docs/concepts/security/pod-security-standards/), and what we add."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
_SECCOMP = {"RuntimeDefault", "Localhost"}


def violations(pod: dict[str, Any]) -> list[str]:
    """Return what the standard, or a read-only root, would refuse of a pod spec."""
    containers = [*pod.get("initContainers", ()), *pod["containers"]]
    return [*_of_pod(pod), *(f"{item['name']}: {wrong}" for item in containers for wrong in _of_container(item, pod))]


def _of_pod(pod: dict[str, Any]) -> Iterator[str]:
    yield from (key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key))
    for volume in pod.get("volumes", ()):
        if kinds := set(volume) - {"name"} - _VOLUMES:
            yield f"volume {volume['name']} is a {kinds}"


def _of_container(container: dict[str, Any], pod: dict[str, Any]) -> Iterator[str]:
    own = container.get("securityContext", {})
    both = pod.get("securityContext", {}) | own
    capabilities = own.get("capabilities", {})
    checks = {
        "may escalate": own.get("allowPrivilegeEscalation") is not False,
        "privileged": own.get("privileged", False),
        "root": both.get("runAsNonRoot") is not True or both.get("runAsUser", 1) == 0,
        "seccomp": both.get("seccompProfile", {}).get("type") not in _SECCOMP,
        "capabilities": capabilities.get("drop") != ["ALL"] or set(capabilities.get("add", ())) - {"NET_BIND_SERVICE"},
        "host port": any("hostPort" in port for port in container.get("ports", ())),
        "writable root": own.get("readOnlyRootFilesystem") is not True,
    }
    yield from (name for name, wrong in checks.items() if wrong)
