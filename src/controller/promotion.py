"""Model channels in the store: `models/<channel>/<version>.json` and a pointer to the current one.

Only a passed gate promotes, and never a data set that was tainted on purpose. Versions are written once;
the pointer moves by conditional write, so two people cannot promote over one another unseen.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from controller.facts import read_report
from touge.contract.artifacts import StageRef, model_current_key, model_version_key
from touge.contract.errors import AlreadyExists, Conflict, DataError, ObjectNotFound, TougeError
from touge.contract.model import Document
from touge.contract.plan import Plan
from touge.contract.report import Report
from touge.storage.execution import Artifact, committed
from touge.storage.port import Store


class PromotionRefused(TougeError):
    """The model did not earn its promotion; the message lists why."""


class ModelVersion(Document):
    """One promoted model: where it lies and what it was proved with."""

    schema_version: Literal["touge.model/1"] = Field("touge.model/1", alias="schema")
    channel: str
    version: str
    run: str
    artifact: str = Field(description="key prefix of the winning execution of train")
    method: str
    base: str = Field(description="digest of the model that an adapter belongs to")
    report: str = Field(description="key of report.json")


class Current(Document):
    """A channel's pointer."""

    version: str
    previous: str | None = None
    promoted_us: int


def promote(plan: Plan, store: Store, channel: str, now_us: int) -> ModelVersion:
    """Make a run's model the current one of a channel; doing it twice is once.

    Raises:
        PromotionRefused: If the gate was not passed or the data are tainted.
        Conflict: If somebody else promoted at the same moment.
    """
    data, model, report = (_committed(plan, store, stage) for stage in ("curate", "train", "evaluate"))
    if refusals := refused(plan, data, read_report(plan, store)):
        lines = "\n".join(f"  - {refusal}" for refusal in refusals)
        raise PromotionRefused(f"run {plan.run} is not promoted to {channel}\n{lines}")
    version = ModelVersion(
        channel=channel,
        version=plan.stage("train").id,
        run=plan.run,
        artifact=model.prefix,
        method=plan.recipe.train.method,
        base=plan.base.digest,
        report=f"{report.prefix}report.json",
    )
    _write_once(store, version)
    _point(store, version, now_us)
    return version


def refused(plan: Plan, data: Artifact, report: Report) -> tuple[str, ...]:
    """Return every reason not to promote."""
    verdict = report.verdict
    reasons = [f"check {c.name}: {c.value}, expected {c.bound}" for c in verdict.checks if not c.passed]
    if not verdict.passed:
        reasons.insert(
            0, "the gate failed" if verdict.passed is False else f"no verdict: {verdict.reason or 'unknown'}"
        )
    kept = plan.recipe.curate.contradictions == "keep"
    if kept or data.manifest.metadata.get("tainted") or report.provenance.get("tainted"):
        reasons.append("the data set is tainted: it keeps samples whose words contradict their trajectory")
    return tuple(reasons)


def current(store: Store, channel: str) -> ModelVersion | None:
    """Return the current model of a channel, or None while it has none."""
    pointer, _ = _pointer(store, model_current_key(channel))
    return ModelVersion.read_json(store.get(model_version_key(channel, pointer.version))) if pointer else None


def _committed(plan: Plan, store: Store, name: str) -> Artifact:
    stage = plan.stage(name)
    found = committed(store, StageRef(stage.id))
    if found is None:
        raise DataError(f"{stage.id} is not committed in {store.uri}: submit the run and let it end first")
    return found


def _write_once(store: Store, version: ModelVersion) -> None:
    key = model_version_key(version.channel, version.version)
    try:
        store.create(key, version.to_json().encode())
    except (AlreadyExists, Conflict):
        there = ModelVersion.read_json(store.get(key))
        if (there.artifact, there.base) != (version.artifact, version.base):
            raise Conflict(f"{key} names another artifact ({there.artifact}); it is never overwritten") from None


def _point(store: Store, version: ModelVersion, now_us: int) -> None:
    key = model_current_key(version.channel)
    before, etag = _pointer(store, key)
    if before and before.version == version.version:
        return
    pointer = Current(version=version.version, previous=before and before.version, promoted_us=now_us)
    try:
        if etag is None:
            store.create(key, pointer.to_json().encode())
        else:
            store.replace(key, pointer.to_json().encode(), etag=etag)
    except (AlreadyExists, Conflict):
        there, _ = _pointer(store, key)
        if there != pointer:
            raise Conflict(
                f"{key}: somebody promoted {there and there.version} at the same moment; look, then repeat"
            ) from None


def _pointer(store: Store, key: str) -> tuple[Current | None, str | None]:
    """Return the pointer and the entity tag of that version or an older one, so that no change is missed."""
    try:
        etag = store.stat(key).etag
        return Current.read_json(store.get(key)), etag
    except ObjectNotFound:
        return None, None
