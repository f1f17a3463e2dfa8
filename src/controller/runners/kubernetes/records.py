"""Run records as ConfigMaps: one a run, named after it, each change conditional on its resourceVersion.

Keys: `plan` (mounted into the pods), `spec` (what verbs write), `status` (what reconcile writes) and `templates` (the
chart's Job templates as they were at submit: retries use them). It owns every object of the run, so deleting it
deletes them.
"""

from __future__ import annotations

import builtins
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from controller.manifests.job import PLAN_KEY, RUN, Owner
from controller.manifests.templates import TEMPLATE_LABEL, Template, read_templates, template_label, templates_for
from controller.records import RunRecord, RunSummary
from controller.runners.kubernetes import labels
from controller.runners.kubernetes.client import CONFIG_MAPS, CRON_JOBS, Cluster, Object
from controller.runners.kubernetes.compact import packed, unpacked
from controller.state import RunSpec, State
from touge.contract.errors import AlreadyExists, Conflict, ObjectNotFound, RecipeError, SettingsError
from touge.contract.plan import Plan

SPEC, TEMPLATES = "spec", "templates"
#: What plan, spec and templates may take of the 1 MiB that a ConfigMap holds.
_BUDGET = 500_000
_INSTANCE = "app.kubernetes.io/instance"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run's plan, the owner of its objects, and the templates that it was submitted with."""

    plan: Plan
    owner: Owner
    templates: Mapping[str, Template]


class ConfigMapRecords:
    """Run records in one namespace.

    Args:
        cluster: Where they lie.
        release: Helm release whose Job templates are used; None where there is only one.
    """

    def __init__(self, cluster: Cluster, release: str | None = None) -> None:
        self.cluster, self.release = cluster, release

    def create(self, spec: RunSpec) -> RunRecord:
        """Write a new record with a copy of the Job templates that its stages need.

        Raises:
            AlreadyExists: If the run is there.
            SettingsError: If a template is missing or cannot be used.
            RecipeError: If the plan is too large for a record.
        """
        plan = spec.plan
        found = self.templates()
        chosen = self._checked(found, plan)
        data = _written(spec) | {TEMPLATES: json.dumps([item for item in found if template_label(item) in chosen])}
        size = sum(len(text.encode()) for text in data.values())
        if size > _BUDGET:
            raise RecipeError(
                f"its plan and templates take {size:,} bytes of the {_BUDGET:,} that a run record on Kubernetes has "
                "for them: name folders instead of single drives",
                source=plan.run,
            )
        record = RunRecord(version=0, spec=spec)
        head = {"name": plan.run, "labels": _labels(record), "annotations": {labels.CREATED: str(spec.created_us)}}
        try:
            made = self.cluster.create(
                CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": head, "data": data}
            )
        except AlreadyExists:
            raise AlreadyExists(f"run {plan.run} exists already") from None
        return record.model_copy(update={"version": made["metadata"]["resourceVersion"]})

    def read(self, run: str) -> RunRecord:
        """Return a record."""
        return _record(self._config_map(run))

    def list(self) -> list[RunRecord]:
        """Return all records, oldest first."""
        found = self.cluster.list(CONFIG_MAPS, labels.RECORD).items
        return sorted((_record(item) for item in found), key=lambda record: (record.spec.created_us, record.run))

    def summaries(self) -> builtins.list[RunSummary]:
        """Return what the records' labels tell of all runs, oldest first; no record is read."""
        found = self.cluster.list(CONFIG_MAPS, labels.RECORD, metadata=True).items
        return sorted((_summary(item["metadata"]) for item in found), key=lambda known: (known.created_us, known.run))

    def update(self, record: RunRecord) -> RunRecord:
        """Write the record if nobody was faster; returns it with its new version."""
        status = packed(record.status) if record.status else {"data": {}, "binaryData": {}}
        patch = {
            "metadata": {"resourceVersion": str(record.version), "labels": _labels(record)},
            "data": {**_written(record.spec), **status["data"]},
            "binaryData": status["binaryData"],
        }
        try:
            changed = self.cluster.patch(CONFIG_MAPS, record.run, patch)
        except Conflict as error:
            raise Conflict(f"run {record.run} changed meanwhile (version {record.version})") from error
        return record.model_copy(update={"version": changed["metadata"]["resourceVersion"]})

    def delete(self, run: str) -> None:
        """Remove the record and, with it, every object of the run; a missing one is fine."""
        self.cluster.delete(CONFIG_MAPS, run)

    def snapshot(self, run: str) -> Snapshot:
        """Return what a run's objects are made from."""
        config_map = self._config_map(run)
        templates = read_templates(json.loads(config_map["data"][TEMPLATES]))
        return Snapshot(_record(config_map).spec.plan, Owner(run, config_map["metadata"]["uid"]), templates)

    def templates(self) -> builtins.list[Object]:
        """Return the chart's Job templates as they are now."""
        selector = TEMPLATE_LABEL + (f",{_INSTANCE}={self.release}" if self.release else "")
        found = self.cluster.list(CRON_JOBS, selector).items
        return [_lean(item) for item in found]

    def templates_of(self, plan: Plan) -> dict[str, Template]:
        """Return the templates of a plan's stages as they are now; raises SettingsError where they cannot serve it."""
        return self._checked(self.templates(), plan)

    def _checked(self, found: Iterable[Object], plan: Plan) -> dict[str, Template]:
        try:
            return templates_for(plan, read_templates(found))
        except SettingsError as error:
            of = f" of release {self.release}" if self.release else ""
            where = f"namespace {self.cluster.namespace}{of} (TOUGE_NAMESPACE names another)"
            raise SettingsError(f"{where}: {error}") from None

    def _config_map(self, run: str) -> Object:
        try:
            found = self.cluster.get(CONFIG_MAPS, run)
        except ObjectNotFound:
            raise ObjectNotFound(
                f"no run {run!r} in namespace {self.cluster.namespace}; `list` shows those that are"
            ) from None
        if labels.RECORD not in (found["metadata"].get("labels") or {}):
            raise SettingsError(f"ConfigMap {run} in namespace {self.cluster.namespace} is no run record")
        return found


def _lean(template: Mapping[str, Any]) -> Object:
    """Return a CronJob as it is applied, without what the server adds."""
    metadata = {
        key: value
        for key, value in template["metadata"].items()
        if key in {"name", "namespace", "labels", "annotations"}
    }
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": template["spec"]}


def _written(spec: RunSpec) -> dict[str, str]:
    wanted = spec.model_dump(mode="json", by_alias=True, exclude={"plan"})
    return {PLAN_KEY: spec.plan.to_json(), SPEC: json.dumps(wanted)}


def _record(config_map: Object) -> RunRecord:
    data, metadata = config_map.get("data") or {}, config_map["metadata"]
    try:
        plan = Plan.read_json(data[PLAN_KEY])
        return RunRecord(
            version=metadata["resourceVersion"],
            spec=RunSpec(plan=plan, **json.loads(data[SPEC])),
            status=unpacked(data, config_map.get("binaryData") or {}),
        )
    except (ValidationError, KeyError) as error:
        raise SettingsError(
            f"ConfigMap {metadata['name']} is no run record of this version. Use the version of touge that wrote it, "
            f"or `kubectl delete configmap {metadata['name']}`"
        ) from error


def _labels(record: RunRecord) -> dict[str, str]:
    summary = RunSummary.of(record)
    return {
        "app.kubernetes.io/managed-by": "touge",
        RUN: record.run,
        labels.RECORD: "run",
        labels.STATE: summary.state,
        labels.REASON: summary.reason,
        labels.GATE: summary.gate,
        labels.OVER: str(summary.over).lower(),
    }


def _summary(metadata: Mapping[str, Any]) -> RunSummary:
    found = metadata["labels"]
    return RunSummary(
        run=metadata["name"],
        created_us=int(metadata.get("annotations", {}).get(labels.CREATED, 0)),
        state=State(found.get(labels.STATE, State.QUEUED)),
        reason=found.get(labels.REASON, ""),
        gate=found.get(labels.GATE, ""),
        over=found.get(labels.OVER) == "true",
    )
