"""The kubelet's part, played by hand: pods of a control plane without nodes begin, end and go as a test says."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from daemons import wait_until

from control_plane import ControlPlane


class Hands:
    """What a node would do in one namespace.

    Args:
        plane: The control plane.
        namespace: Where the pods are.
    """

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self.plane, self.namespace = plane, namespace

    def kubectl(self, *words: str, given: Any = None) -> str:
        return self.plane.kubectl("--namespace", self.namespace, *words, given=given)

    def get(self, *words: str) -> Any:
        return json.loads(self.kubectl("get", *words, "--output", "json"))

    def pods(self, **labels: str) -> list[Any]:
        selector = ",".join(f"touge/{key}={value}" for key, value in labels.items())
        return self.get("pods", "--selector", selector)["items"]

    def pod(self, **labels: str) -> Any:
        """Wait for the one pod that has these labels, has not ended and stays, and return it."""
        return self.until(lambda: [p for p in self.pods(**labels) if _alive(p)], f"a pod of {labels}")[0]

    def job(self, name: str) -> Any:
        return self.get("job", name)

    def begin(self, pod: Any) -> None:
        """Let a pod run; where no node was found, on none."""
        state = {"running": {"startedAt": _now()}}
        self._say(pod, {"phase": "Running", "startTime": _now(), "containerStatuses": [_container(pod, state)]})

    def end(self, pod: Any, code: int, message: str = "", reason: str = "Completed") -> None:
        """Let a pod's container end."""
        told = {"exitCode": code, "message": message, "reason": reason, "startedAt": _now(), "finishedAt": _now()}
        phase = "Failed" if code else "Succeeded"
        self._say(pod, {"phase": phase, "containerStatuses": [_container(pod, {"terminated": told})]})

    def evict(self, pod: Any) -> None:
        """Ask for the pod's eviction, as a drain does."""
        name = pod["metadata"]["name"]
        wanted = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        path = f"/api/v1/namespaces/{self.namespace}/pods/{name}/eviction"
        self.kubectl("create", "--raw", path, "--filename=-", given=wanted)

    def remove(self, pod: Any) -> None:
        """Say, as the kubelet does at last, that nothing of the pod is left."""
        self.kubectl("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force", "--wait=false")

    def until(self, seen: Callable[[], Any], what: str, seconds: float = 40) -> Any:
        """Wait until something is seen, and return it."""
        end = time.monotonic() + seconds
        while not (found := seen()):
            assert time.monotonic() < end, f"waited in vain for {what}"
            time.sleep(0.05)
        return found

    def _say(self, pod: Any, status: Any) -> None:
        patch = json.dumps({"status": status})
        name = pod["metadata"]["name"]
        self.kubectl("patch", "pod", name, "--subresource=status", "--type=merge", "--patch", patch)


@contextlib.contextmanager
def gpu_node(plane: ControlPlane, name: str, mib: int) -> Iterator[None]:
    """Have a node that the scheduler takes for one with GPUs, and that says from time to time that it is well."""
    head = {"name": name, "labels": {"nvidia.com/gpu.memory": str(mib)}}
    plane.kubectl("create", "--filename=-", given={"apiVersion": "v1", "kind": "Node", "metadata": head})
    over = threading.Event()

    def be_well() -> None:
        while not over.is_set():
            _say_well(plane, name)
            over.wait(10)

    heart = threading.Thread(target=be_well)
    heart.start()
    try:
        wait_until(lambda: _takes_pods(plane, name), f"{name} takes pods")
        yield
    finally:
        over.set()
        heart.join()
        plane.kubectl("delete", "node", name)


def _say_well(plane: ControlPlane, name: str) -> None:
    size = {"cpu": "64", "memory": "512Gi", "ephemeral-storage": "2Ti", "pods": "100", "nvidia.com/gpu": "8"}
    ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": _now(), "lastTransitionTime": _now()}
    status = {"status": {"capacity": size, "allocatable": size, "conditions": [ready]}}
    plane.kubectl("patch", "node", name, "--subresource=status", "--type=merge", "--patch", json.dumps(status))


def _takes_pods(plane: ControlPlane, name: str) -> bool:
    node = plane.get("node", name)
    return "taints" not in node["spec"] and bool(node["status"].get("conditions"))


def _alive(pod: Any) -> bool:
    return pod["status"]["phase"] in {"Pending", "Running"} and "deletionTimestamp" not in pod["metadata"]


def _container(pod: Any, state: Any) -> Any:
    image = pod["spec"]["containers"][0]["image"]
    return {"name": "stage", "image": image, "imageID": "", "ready": False, "restartCount": 0, "state": state}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
