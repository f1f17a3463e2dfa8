"""The chart as a cluster holds it: `helm` at work on a real API server, and what is in a namespace afterwards."""

from __future__ import annotations

from typing import Any

from helm import CHART, found

from control_plane import ControlPlane

#: Made by Kubernetes itself in every namespace, or to be forgotten by it.
_NOT_OURS = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}
_PASSING = {"Event"}


def helm_on(plane: ControlPlane, namespace: str, *arguments: str, values: dict[str, Any] | None = None) -> str:
    """Run helm in a namespace, and return what it printed.

    Raises:
        AssertionError: It failed; its words are the message.
    """
    given = () if values is None else ("--values", "-")
    done = plane.run(found(), *arguments, "--namespace", namespace, *given, given=values)
    assert done.returncode == 0, f"helm {arguments[0]}: {done.stderr}"
    return done.stdout


def install(plane: ControlPlane, namespace: str, values: dict[str, Any], *arguments: str) -> str:
    """Install the chart as the release `touge`."""
    return helm_on(plane, namespace, "install", "touge", str(CHART), *arguments, values=values)


def contents(plane: ControlPlane, namespace: str) -> set[tuple[str, str]]:
    """Return kind and name of every object in a namespace, of every kind that can be listed, but what passes."""
    kinds = plane.kubectl("api-resources", "--verbs=list", "--namespaced", "--output=name").split()
    items = plane.get(",".join(kinds), "--namespace", namespace)["items"]
    named = {(item["kind"], item["metadata"]["name"]) for item in items if item["kind"] not in _PASSING}
    return named - _NOT_OURS
