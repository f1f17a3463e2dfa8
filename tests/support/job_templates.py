"""Job templates for the controller's tests: one honest CronJob, under each of the chart's names."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import yaml

from controller.manifests.job import Attempt, Owner, render
from controller.manifests.templates import Template, read_templates
from touge.contract.plan import Plan

NAMES = ("curate", "train-lora", "train-qlora", "train-full", "evaluate")
OWNER = Owner("bend-0123456789", "7f6a3c1e-0000-4000-8000-000000000001")
_BASE = yaml.safe_load(Path(__file__).with_name("cronjob.yaml").read_text("utf-8"))


def cronjob(name: str, **placement: Any) -> dict[str, Any]:
    """Return a template's document; `placement` as the platform's values have it."""
    document: dict[str, Any] = copy.deepcopy(_BASE)
    document["metadata"] |= {
        "name": f"touge-{name}",
        "labels": document["metadata"]["labels"] | {"touge/template": name},
    }
    template = document["spec"]["jobTemplate"]
    template["metadata"]["annotations"]["touge/placement"] = json.dumps(placement)
    stage_of(template).update(image=f"touge/{name.split('-', maxsplit=1)[0]}:0.1.0")
    return document


def templates(**placement: Any) -> dict[str, Template]:
    """Return all templates, read."""
    return read_templates([cronjob(name, **placement) for name in NAMES])


def objects(plan: Plan, stage: str, *, number: int = 1, shard: int | None = None, **placement: Any) -> list[Any]:
    """Return the objects of an attempt."""
    return list(render(Attempt(plan, stage, number, shard), templates(**placement), OWNER))


def job(plan: Plan, stage: str, **more: Any) -> dict[str, Any]:
    """Return the Job of an attempt."""
    return objects(plan, stage, **more)[-1]


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    """Return the pod spec of a Job."""
    return job["spec"]["template"]["spec"]


def stage_of(job: dict[str, Any]) -> dict[str, Any]:
    """Return the container that does the work."""
    return pod_of(job)["containers"][0]


def variables(job: dict[str, Any]) -> dict[str, str | None]:
    """Return what the stage is told."""
    return {variable["name"]: variable.get("value") for variable in stage_of(job)["env"]}
