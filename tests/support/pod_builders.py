"""Jobs, pods and nodes as an API server shows them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

BORN_S = 1_000_000


def time(seconds: float) -> str:
    """Return Kubernetes' time, so many seconds after the tests' beginning."""
    return datetime.fromtimestamp(BORN_S + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def us(seconds: float) -> int:
    """Return the same in unix microseconds."""
    return round((BORN_S + seconds) * 1e6)


def condition(kind: str, status: str = "True", at: float = 0, **more: str) -> dict[str, Any]:
    return {"type": kind, "status": status, "lastTransitionTime": time(at), **more}


def job(
    stage: str = "train",
    attempt: int = 1,
    *,
    shard: int | None = None,
    completions: int | None = None,
    conditions: tuple[dict[str, Any], ...] = (),
    **status: Any,
) -> dict[str, Any]:
    """Return a Job; `completions` makes it an Indexed one."""
    alone = {} if shard is None else {"touge/shard": str(shard)}
    spec: dict[str, Any] = {"suspend": status.pop("suspend", False)}
    if completions is not None:
        spec |= {"completionMode": "Indexed", "completions": completions}
    deletion = {"deletionTimestamp": time(status.pop("deleted"))} if "deleted" in status else {}
    name = f"bend-{stage}{'' if shard is None else f'-s{shard}'}-{attempt}"
    labels = {"touge/run": "bend", "touge/stage": stage, "touge/attempt": str(attempt), **alone}
    return {
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "labels": labels | status.pop("labels", {}),
            "creationTimestamp": time(0),
            **deletion,
        },
        "spec": spec,
        "status": {"conditions": list(conditions)} | status,
    }


def pod(
    owner: dict[str, Any], uid: str = "p1", *, index: int | None = None, born: float = 1, **parts: Any
) -> dict[str, Any]:
    """Return a pod of a Job, not placed yet; `status` and `metadata` add to it, `node` places it."""
    indexed = {} if index is None else {"batch.kubernetes.io/job-completion-index": str(index)}
    metadata = {
        "name": f"{owner['metadata']['name']}-{0 if index is None else index}-{uid}",
        "uid": uid,
        "labels": owner["metadata"]["labels"] | indexed,
        "creationTimestamp": time(born),
        "ownerReferences": [{"uid": owner["metadata"]["uid"], "controller": True, "kind": "Job"}],
    }
    node = {"nodeName": parts["node"]} if "node" in parts else {}
    return {
        "metadata": metadata | parts.get("metadata", {}),
        "spec": node | parts.get("spec", {}),
        "status": {"phase": "Pending"} | parts.get("status", {}),
    }


def running(owner: dict[str, Any], uid: str = "p1", *, at: float = 5, **more: Any) -> dict[str, Any]:
    state = {"running": {"startedAt": time(at)}}
    conditions = more.pop("conditions", [])
    status = {"phase": "Running", "containerStatuses": [{"name": "stage", "state": state}], "conditions": conditions}
    return pod(owner, uid, status=status, **{"node": "n1"} | more)


def ended(owner: dict[str, Any], code: int, uid: str = "p1", *, at: float = 9, **more: Any) -> dict[str, Any]:
    told = {key: more.pop(key) for key in ("reason", "message") if key in more}
    state = {"terminated": {"exitCode": code, "startedAt": time(5), "finishedAt": time(at), **told}}
    status = {
        "phase": "Failed" if code else "Succeeded",
        "containerStatuses": [{"name": "stage", "state": state}],
        "conditions": more.pop("conditions", []),
    }
    return pod(owner, uid, status=status, **{"node": "n1"} | more)


def node(name: str, gpu_mib: int | None = None, gpus: int = 1, **labels: str) -> dict[str, Any]:
    known = {} if gpu_mib is None else {"nvidia.com/gpu.memory": str(gpu_mib)}
    size = {} if gpu_mib is None else {"nvidia.com/gpu": str(gpus)}
    return {"metadata": {"name": name, "labels": known | labels}, "spec": {}, "status": {"allocatable": size}}


DISRUPTED = condition("DisruptionTarget", reason="EvictionByEvictionAPI", message="Eviction API: evicting")
