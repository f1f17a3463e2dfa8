"""A model of Kubernetes in memory: versioned objects, the Job controller's rules, pods that do as they are told.

It stands for `controller.runners.kubernetes.client.Cluster`. What it knows of podFailurePolicy, podReplacementPolicy,
finalizers and deletion is what the tests on a real cluster have shown.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from pod_builders import condition

from controller.runners.kubernetes.client import CRON_JOBS, JOBS, PODS, Listing, Object, Resource
from controller.runners.kubernetes.pods import INDEX, disrupted, exit_code, index_of, over, succeeded
from touge.contract.errors import AlreadyExists, Conflict, ObjectNotFound

GRACE_S = 120


class ModelCluster:
    """One namespace."""

    namespace, server = "roads", "http://model"

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.now_s = 1_000_000
        self._version = 0
        self._born = 0
        self.lost: set[str] = set()

    # what the controller asks

    def get(self, resource: Resource, name: str) -> Object:
        if (resource.plural, name) not in self.objects:
            raise ObjectNotFound(name)
        return copy.deepcopy(self.objects[resource.plural, name])

    def list(self, resource: Resource, selector: str = "", fields: str = "", *, metadata: bool = False) -> Listing:
        found = [o for (plural, _), o in self.objects.items() if plural == resource.plural and _chosen(o, selector)]
        return Listing(tuple(copy.deepcopy(found)), str(self._version))

    def create(self, resource: Resource, body: Object) -> Object:
        name = body["metadata"]["name"]
        if (resource.plural, name) in self.objects:
            raise AlreadyExists(name)
        made = copy.deepcopy(dict(body))
        self._born += 1
        made["metadata"] |= {"uid": f"u{self._born}", "creationTimestamp": self.time()}
        made.setdefault("status", {})
        return copy.deepcopy(self._write(resource.plural, made))

    def patch(self, resource: Resource, name: str, body: Object) -> Object:
        found = self.get(resource, name)
        wanted = body["metadata"].get("resourceVersion")
        if wanted not in {None, found["metadata"]["resourceVersion"]}:
            raise Conflict(name)
        return copy.deepcopy(self._write(resource.plural, _merged(found, body)))

    def delete(
        self,
        resource: Resource,
        name: str,
        *,
        propagation: str = "Background",
        grace_s: int | None = None,
        uid: str | None = None,
    ) -> None:
        found = self.objects.get((resource.plural, name))
        if found is None:
            return
        if uid not in {None, found["metadata"]["uid"]}:
            raise Conflict(name)
        if resource == PODS:
            self._end_pod(found, GRACE_S if grace_s is None else grace_s)
        elif resource == JOBS and propagation == "Foreground":
            found["metadata"].setdefault("deletionTimestamp", self.time())
        else:
            del self.objects[resource.plural, name]

    def log(self, pod: str, container: str, **_how: Any) -> Iterator[str]:
        return iter([f"{self.time()} {pod} was here"])

    def serves(self, group: str) -> None:
        return None

    # what the cluster does

    def time(self, offset_s: float = 0) -> str:
        return datetime.fromtimestamp(self.now_s + offset_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def jobs(self) -> list[Object]:
        return [o for (plural, _), o in self.objects.items() if plural == "jobs"]

    @property
    def pods(self) -> list[Object]:
        return [o for (plural, _), o in self.objects.items() if plural == "pods"]

    def sync(self) -> None:
        """Do one round of the Job controller and the garbage collector."""
        uids = {job["metadata"]["uid"] for job in self.jobs}
        for pod in self.pods:
            if _owner(pod) not in uids:
                self._end_pod(pod, GRACE_S)
        for job in self.jobs:
            self._sync(job)
        for pod in self.pods:
            if over(pod) and "deletionTimestamp" in pod["metadata"]:
                del self.objects["pods", pod["metadata"]["name"]]

    def start(self, pod: Object) -> None:
        """Let the kubelet start a pod."""
        pod["spec"]["nodeName"] = "n1"
        pod["status"] = {"phase": "Running", "containerStatuses": [_container(running={"startedAt": self.time()})]}

    def finish(self, pod: Object, code: int, reason: str = "") -> None:
        """Let a pod's container end."""
        began = pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
        told = {"exitCode": code, "startedAt": began, "finishedAt": self.time(), "reason": reason}
        pod["status"] |= {
            "phase": "Failed" if code else "Succeeded",
            "containerStatuses": [_container(terminated=told)],
        }

    def evict(self, pod: Object) -> None:
        """Ask a pod to leave, as the eviction API, preemption and taints do."""
        self._disrupt(pod)
        self._end_pod(pod, GRACE_S)

    def forget(self, pod: Object) -> None:
        """Fail a pod of a node that is tainted out-of-service; what runs there runs on."""
        self._disrupt(pod)
        pod["status"]["phase"] = "Failed"
        pod["metadata"].setdefault("deletionTimestamp", self.time())

    def _sync(self, job: Object) -> None:
        mine = [pod for pod in self.pods if _owner(pod) == job["metadata"]["uid"]]
        live = [pod for pod in mine if not over(pod)]
        if "deletionTimestamp" in job["metadata"]:
            for pod in live:
                self._end_pod(pod, GRACE_S)
            if not live:
                del self.objects["jobs", job["metadata"]["name"]]
            return
        for pod in mine:
            if over(pod) and not pod.setdefault("counted", False):
                pod["counted"] = True
                self._count(job, pod)
        self._conclude(job, live)

    def _count(self, job: Object, pod: Object) -> None:
        """Apply podFailurePolicy, backoffLimit and backoffLimitPerIndex to an ended pod."""
        index, done = index_of(pod), job.setdefault("model", {"done": set(), "failed": set(), "why": ""})
        if succeeded(pod):
            done["done"].add(index)
            return
        match _action(job, pod):
            case "Ignore":
                return
            case "FailIndex":
                done["failed"].add(index)
            case "FailJob":
                code = exit_code(pod)
                done["why"] = done["why"] or (
                    f"Container stage for pod roads/{pod['metadata']['name']} failed with exit code {code} matching"
                    if code is not None
                    else "Pod has condition DisruptionTarget matching FailJob rule at index 0"
                )
            case _ if "backoffLimitPerIndex" in job["spec"]:
                done["failed"].add(index)
            case _:
                done["why"] = done["why"] or "Job has reached the specified backoff limit"

    def _conclude(self, job: Object, live: list[Object]) -> None:
        known = job.setdefault("model", {"done": set(), "failed": set(), "why": ""})
        status, wanted = job["status"], set(range(job["spec"].get("completions", 1)))
        status |= {
            "completedIndexes": ",".join(map(str, sorted(known["done"]))) if "completions" in job["spec"] else "",
            "failedIndexes": ",".join(map(str, sorted(known["failed"]))),
        }
        if any(c["type"] in {"Complete", "Failed"} for c in status.get("conditions", ())):
            return
        if known["why"]:
            reason = "PodFailurePolicy" if "matching" in known["why"] else "BackoffLimitExceeded"
            told = {"reason": reason, "message": known["why"]}
            for pod in live:
                self._end_pod(pod, GRACE_S)
            kind = "FailureTarget" if live else "Failed"
            status["conditions"] = [condition(kind) | told | {"lastTransitionTime": self.time()}]
        elif known["done"] | known["failed"] >= wanted and not live:
            told = ("Failed", "FailedIndexes") if known["failed"] else ("Complete", "")
            status["conditions"] = [
                {"type": told[0], "status": "True", "reason": told[1], "message": "", "lastTransitionTime": self.time()}
            ]
        else:
            for index in sorted(wanted - known["done"] - known["failed"] - {index_of(pod) for pod in live}):
                self._make_pod(job, index)

    def _make_pod(self, job: Object, index: int) -> None:
        self._born += 1
        name = f"{job['metadata']['name']}-{index}-{self._born}"
        labels = dict(job["spec"]["template"]["metadata"]["labels"])
        if "completions" in job["spec"]:
            labels[INDEX] = str(index)
        metadata = {
            "name": name,
            "uid": f"u{self._born}",
            "labels": labels,
            "creationTimestamp": self.time(),
            "ownerReferences": [{"uid": job["metadata"]["uid"], "controller": True}],
        }
        self._write("pods", {"metadata": metadata, "spec": {}, "status": {"phase": "Pending"}})

    def _end_pod(self, pod: Object, grace_s: float) -> None:
        if "deletionTimestamp" in pod["metadata"]:
            return
        if over(pod) or pod["status"]["phase"] == "Pending":
            del self.objects["pods", pod["metadata"]["name"]]
            return
        pod["metadata"]["deletionTimestamp"] = self.time(grace_s)

    def _disrupt(self, pod: Object) -> None:
        told = {"message": "taken away", "lastTransitionTime": self.time()}
        pod["status"].setdefault("conditions", []).append(condition("DisruptionTarget") | told)

    def _write(self, plural: str, thing: Object) -> Object:
        self._version += 1
        thing["metadata"]["resourceVersion"] = str(self._version)
        self.objects[plural, thing["metadata"]["name"]] = thing
        return thing


def _action(job: Object, pod: Object) -> str:
    """Return what the first rule that matches says."""
    for rule in job["spec"]["podFailurePolicy"]["rules"]:
        if "onPodConditions" in rule and disrupted(pod):
            return str(rule["action"])
        codes, code = rule.get("onExitCodes"), exit_code(pod)
        if codes and code is not None and (code in codes["values"]) == (codes["operator"] == "In"):
            return str(rule["action"])
    return "Count"


def _container(**state: Any) -> Object:
    return {"name": "stage", "state": state}


def _owner(thing: Object) -> str:
    return str(thing["metadata"]["ownerReferences"][0]["uid"])


def _chosen(thing: Object, selector: str) -> bool:
    labels = thing["metadata"].get("labels") or {}
    parts = [part.partition("=") for part in selector.split(",") if part]
    return all(labels.get(key) == value if sign else key in labels for key, sign, value in parts)


def _merged(old: Any, new: Any) -> Any:
    """Return a JSON merge patch applied (RFC 7396)."""
    if not isinstance(new, dict):
        return new
    merged = dict(old) if isinstance(old, dict) else {}
    for key, value in new.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), value)
    return merged


def with_templates(*templates: Object) -> ModelCluster:
    """Return a namespace with Job templates in it."""
    cluster = ModelCluster()
    for template in templates:
        cluster.create(CRON_JOBS, template)
    return cluster
