"""The pod of an execution, from the template's: what the stage is told and where it may write. Pure.

The platform's choices stay: a variable, a volume or a longer grace period that the template has is kept, but for the
variables that tell a stage what to do. GPUs are bound in `gpu_binding`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from touge.contract import environment

#: The container that does the work; podFailurePolicy and logs name it.
STAGE = "stage"

#: Where the plan is mounted from the run record.
PLAN_FOLDER, PLAN_FILE = "/plan", "plan.json"
SCRATCH, CACHE = "/scratch", "/cache"
#: The kubelet mounts it over the read-only root (Kubernetes' default terminationMessagePath).
_TERMINATION_LOG = "/dev/termination-log"

#: Folders that an execution writes; emptyDirs, because the root is read-only. Shared memory counts as memory.
_WRITTEN: Mapping[str, tuple[str, dict[str, Any]]] = {
    "scratch": (SCRATCH, {}),
    "cache": (CACHE, {}),
    "tmp": ("/tmp", {}),  # noqa: S108 - a volume of the pod's own
    "shm": ("/dev/shm", {"medium": "Memory"}),  # noqa: S108 - the same
}

#: Every cache that the stages' libraries keep, below the one folder.
_CACHES: Mapping[str, str] = {
    "HOME": CACHE,
    "XDG_CACHE_HOME": f"{CACHE}/xdg",
    "HF_HOME": f"{CACHE}/huggingface",
    "MPLCONFIGDIR": f"{CACHE}/matplotlib",
    "TORCHINDUCTOR_CACHE_DIR": f"{CACHE}/inductor",
    "TRITON_CACHE_DIR": f"{CACHE}/triton",
    "CUDA_CACHE_PATH": f"{CACHE}/cuda",
}

Spec = dict[str, Any]


def equipped(pod: Mapping[str, Any], *, told: Mapping[str, str], plan: Mapping[str, Any], grace_s: int) -> Spec:
    """Return a pod spec whose stage knows what to do and has where to write.

    Args:
        pod: Pod spec of a template.
        told: What the stage is told beside its uid and paths.
        plan: Volume source of the plan.
        grace_s: Least time between SIGTERM and SIGKILL, seconds; the template may grant more.
    """
    grace_s = max(grace_s, pod.get("terminationGracePeriodSeconds", 0))
    volumes = {"plan": plan} | {name: {"emptyDir": kind} for name, (_, kind) in _WRITTEN.items()}
    mounts = {"plan": PLAN_FOLDER} | {name: path for name, (path, _) in _WRITTEN.items()}
    mounted = {mount["mountPath"] for mount in stage_of(pod).get("volumeMounts", ())}
    added = [name for name, path in mounts.items() if path not in mounted]
    told = dict(told) | {"TOUGE_GRACE_S": str(grace_s)}

    def change(container: Spec) -> Spec:
        given = [{"name": f"touge-{name}", "mountPath": mounts[name], **_read_only(name)} for name in added]
        return container | {
            "env": _variables(container.get("env", ()), told, _threads(container.get("resources", {}))),
            "volumeMounts": [*container.get("volumeMounts", ()), *given],
        }

    return with_stage(pod, change) | {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": grace_s,
        "volumes": [*pod.get("volumes", ()), *({"name": f"touge-{name}", **volumes[name]} for name in added)],
    }


def stage_of(pod: Mapping[str, Any]) -> Spec:
    """Return the container that does the work."""
    return next(dict(container) for container in pod["containers"] if container["name"] == STAGE)


def with_stage(pod: Mapping[str, Any], change: Callable[[Spec], Spec]) -> Spec:
    """Return the pod spec with that container changed."""
    containers = [change(dict(item)) if item["name"] == STAGE else item for item in pod["containers"]]
    return dict(pod) | {"containers": containers}


def without_empty(document: Mapping[str, Any]) -> Spec:
    """Return the document without keys that hold nothing."""
    return {key: value for key, value in document.items() if value not in (None, {}, [], ())}


def _read_only(name: str) -> Spec:
    return {"readOnly": True} if name == "plan" else {}


def _threads(resources: Mapping[str, Any]) -> Spec:
    """Return the variable by which torch computes on as many processors as the pod asks for, not on all of the node's.

    Kubernetes rounds up (https://kubernetes.io/docs/concepts/workloads/pods/downward-api/#downwardapi-resourceFieldRef).
    """
    asked = any("cpu" in resources.get(part, {}) for part in ("requests", "limits"))
    return {"OMP_NUM_THREADS": {"valueFrom": {"resourceFieldRef": {"resource": "requests.cpu"}}}} if asked else {}


def _variables(given: Any, told: Mapping[str, str], threads: Spec) -> list[Spec]:
    """Return the stage's variables: what it is told goes before the template's, and that before what we choose."""
    uid = {"valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}
    paths = {
        environment.PLAN: f"{PLAN_FOLDER}/{PLAN_FILE}",
        environment.SCRATCH: SCRATCH,
        environment.TERMINATION_LOG: _TERMINATION_LOG,
    }
    ours = {environment.UID: uid} | {name: {"value": value} for name, value in (paths | dict(told)).items()}
    caches = {name: {"value": path} for name, path in _CACHES.items()}
    theirs = {item["name"]: {key: value for key, value in item.items() if key != "name"} for item in given}
    return [{"name": name, **value} for name, value in (caches | threads | theirs | ours).items()]
