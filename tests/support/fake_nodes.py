"""Nodes with GPUs that nobody has: kwok plays their kubelets. The real scheduler places, the real controllers count.

A pod of a Job on such a node runs for a second and succeeds. Annotations on the pod change that: `touge.test/exit-code`
lets it fail, `touge.test/hang` lets it run until it is deleted.
https://kwok.sigs.k8s.io/docs/user/stages-configuration/
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from control_plane import ControlPlane

EXIT_CODE, HANG = "touge.test/exit-code", "touge.test/hang"
_FAKE = {"kwok.x-k8s.io/node": "fake"}
#: NVIDIA's operator and every cloud's GPU node pools taint with this key.
_TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
_DELETED = ".metadata.deletionTimestamp"
_PHASE = ".status.phase"


def play(plane: ControlPlane) -> None:
    """Start kwok, for as long as the control plane runs."""
    config = plane.home / "kwok.json"
    config.write_text("\n---\n".join(json.dumps(stage) for stage in _stages()), "utf-8")
    plane.daemon(
        "kwok",
        f"--kubeconfig={plane.kubeconfig}",
        f"--config={config}",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        "--node-lease-duration-seconds=40",
    )


def fake_node(name: str, labels: Mapping[str, str], *, gpus: int = 8) -> dict[str, Any]:
    """Return a node with GPUs, tainted as GPU nodes are."""
    resources = {"cpu": "64", "memory": "1Ti", "pods": "110", "ephemeral-storage": "4Ti", "nvidia.com/gpu": str(gpus)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}, "annotations": _FAKE},
        "spec": {"taints": [_TAINT]},
        "status": {"capacity": resources, "allocatable": resources},
    }


def _stages() -> list[dict[str, Any]]:
    """Return all stages of a pod: once one is given, kwok has none of its own any more."""
    return [
        _stage("pod-ready", _RUNNING, _absent(_DELETED), _absent(".status.podIP"), wait_ms=0),
        _stage("pod-complete", _ended("Succeeded", "0", "Completed"), *_of_a_job(), _absent(_annotation(EXIT_CODE))),
        _stage("pod-fail", _ended("Failed", _given_code(), "Error"), *_of_a_job(), _present(_annotation(EXIT_CODE))),
        _stage("pod-stop", _ended("Failed", "143", "Error"), _present(_DELETED), _in(_PHASE, "Running"), wait_ms=200),
        _stage("pod-delete", None, _present(_DELETED), _not_in(_PHASE, "Running"), wait_ms=200),
    ]


def _of_a_job() -> list[dict[str, Any]]:
    return [
        _absent(_DELETED),
        _in(_PHASE, "Running"),
        _in(".metadata.ownerReferences.[].kind", "Job"),
        _absent(_annotation(HANG)),
    ]


def _stage(name: str, status: str | None, *conditions: dict[str, Any], wait_ms: int = 1000) -> dict[str, Any]:
    gone = {"finalizers": {"empty": True}, "delete": True}
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
            "selector": {"matchExpressions": list(conditions)},
            "delay": {"durationMilliseconds": wait_ms},
            "next": gone if status is None else {"statusTemplate": status},
        },
    }


def _annotation(name: str) -> str:
    return f'.metadata.annotations["{name}"]'


def _given_code() -> str:
    return f'{{{{ index $root.metadata.annotations "{EXIT_CODE}" }}}}'


def _absent(key: str) -> dict[str, Any]:
    return {"key": key, "operator": "DoesNotExist"}


def _present(key: str) -> dict[str, Any]:
    return {"key": key, "operator": "Exists"}


def _in(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "operator": "In", "values": [value]}


def _not_in(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "operator": "NotIn", "values": [value]}


_RUNNING = """
{{ $now := Now }}
conditions:
- {lastTransitionTime: {{ $now | Quote }}, status: "True", type: Initialized}
- {lastTransitionTime: {{ $now | Quote }}, status: "True", type: Ready}
- {lastTransitionTime: {{ $now | Quote }}, status: "True", type: ContainersReady}
containerStatuses:
{{ range .spec.containers }}
- image: {{ .image | Quote }}
  name: {{ .name | Quote }}
  ready: true
  restartCount: 0
  state: {running: {startedAt: {{ $now | Quote }}}}
{{ end }}
hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
podIP: {{ PodIPWith .spec.nodeName ( or .spec.hostNetwork false ) ( or .metadata.uid "" ) ( or .metadata.name "" ) ( or .metadata.namespace "" ) | Quote }}
phase: Running
startTime: {{ $now | Quote }}
"""  # noqa: E501 - a template's own line


def _ended(phase: str, code: str, reason: str) -> str:
    return f"""
{{{{ $now := Now }}}}
{{{{ $root := . }}}}
conditions:
- {{lastTransitionTime: {{{{ $now | Quote }}}}, status: "False", type: Ready, reason: PodCompleted}}
- {{lastTransitionTime: {{{{ $now | Quote }}}}, status: "False", type: ContainersReady, reason: PodCompleted}}
containerStatuses:
{{{{ range $index, $item := .spec.containers }}}}
{{{{ $began := (index $root.status.containerStatuses $index).state.running.startedAt }}}}
- image: {{{{ $item.image | Quote }}}}
  name: {{{{ $item.name | Quote }}}}
  ready: false
  restartCount: 0
  started: false
  state:
    terminated:
      exitCode: {code}
      reason: {reason}
      startedAt: {{{{ $began | Quote }}}}
      finishedAt: {{{{ $now | Quote }}}}
{{{{ end }}}}
phase: {phase}
"""
