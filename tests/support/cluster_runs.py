"""Runs in a cluster as the controller makes them: a record that owns Jobs, the chart's templates, rendered attempts."""

from __future__ import annotations

from typing import Any

from helm import rendered, setting
from run_builders import plan_of

from control_plane import ControlPlane
from controller.manifests.job import PLAN_KEY, Attempt, Owner, render
from controller.manifests.templates import Template, read_templates
from touge.contract.plan import Plan

#: A trial whose pods need no image of ours and fit a small node.
SMALL: dict[str, Any] = {
    "images": {"pullPolicy": "Never"},
    "jobs": {"scratch": {"size": "64Mi"}, "sharedMemory": "1Mi", "gracePeriodSeconds": 30},
    "storage": {"embedded": {"enabled": True}},
}


def plan_for(method: str = "lora", **sections: Any) -> Plan:
    """Return the plan of a small recipe that trains by a method."""
    return plan_of(train={"method": method, "steps": 4}, **sections)


def chart_templates(namespace: str, **changes: Any) -> dict[str, Template]:
    """Return the Job templates of an install in a namespace; changes are values by dotted path, `__` for a dot."""
    values = SMALL
    for path, value in changes.items():
        values = setting(path.replace("__", "."), value, base=values)
    return read_templates(rendered(values, "--namespace", namespace))


def make_account(plane: ControlPlane, namespace: str) -> None:
    """Make the service account of every stage, as an install would."""
    plane.create([{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _in(namespace, "touge-jobs")}])


def recorded(plane: ControlPlane, plan: Plan, namespace: str) -> Owner:
    """Make the run record that owns the Jobs of a plan, if it is not there, and return it."""
    record = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _in(namespace, plan.run),
        "data": {PLAN_KEY: plan.to_json()},
    }
    plane.kubectl("apply", "--filename=-", given=record)
    return Owner(plan.run, plane.get("configmap", plan.run, "--namespace", namespace)["metadata"]["uid"])


def attempt(
    plan: Plan, stage: str, templates: dict[str, Template], owner: Owner, number: int = 1
) -> list[dict[str, Any]]:
    """Return the objects of one try of a stage; the Job is the last."""
    return list(render(Attempt(plan, stage, number), templates, owner))


def _in(namespace: str, name: str) -> dict[str, str]:
    return {"name": name, "namespace": namespace}
