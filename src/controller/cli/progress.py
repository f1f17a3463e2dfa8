"""How far each stage of a run is, from what its executions report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.facts import execution_name
from controller.state import Execution, RunStatus, StageStatus, State
from touge.contract.errors import InfrastructureError
from touge.contract.progress import Progress
from touge.storage.execution import read_progress

if TYPE_CHECKING:
    from touge.contract.plan import Plan
    from touge.storage.port import Store


@dataclass(frozen=True, slots=True)
class StageProgress:
    """One stage: share done in [0, 1], seconds left if there is a pace, and a few words."""

    share: float
    eta_s: float | None
    text: str


def read_progress_of(plan: Plan, status: RunStatus, store: Store) -> dict[str, StageProgress]:
    """Return the progress of each stage that has begun, by name."""
    reports: dict[str, list[Progress]] = {}
    for execution in status.executions:
        if not execution.ended and (found := _read(plan, execution, store)):
            reports.setdefault(execution.task.stage, []).append(found)
    return stage_progress(status.stages, reports)


def stage_progress(
    stages: Sequence[StageStatus], reports: Mapping[str, Sequence[Progress]]
) -> dict[str, StageProgress]:
    """Return progress by stage name; of many shards the mean, one that is committed and about to end counted once."""
    return {stage.name: _of(stage, reports.get(stage.name, ())) for stage in stages if _begun(stage)}


def duration(seconds: float) -> str:
    """Return a duration as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _of(stage: StageStatus, reports: Sequence[Progress]) -> StageProgress:
    if stage.state is State.SUCCEEDED:
        return StageProgress(1.0, None, "")
    shares = sorted(min(1.0, report.done / report.total) for report in reports if report.total)
    share = (stage.done + sum(shares[: stage.shards - stage.done])) / stage.shards
    eta = max((left for report in reports if (left := report.eta_s) is not None), default=None)
    return StageProgress(share, eta, ", ".join(_words(reports, eta)))


def _words(reports: Sequence[Progress], eta: float | None) -> list[str]:
    if not reports:
        return []
    first = reports[0]
    words = [f"{sum(r.done for r in reports)}/{sum(r.total for r in reports)} {first.unit}"]
    words += [f"{name} {value:.4g}" for name, value in list(first.metrics.items())[:2]]
    return words + ([f"{duration(eta)} left"] if eta is not None else [])


def _begun(stage: StageStatus) -> bool:
    return stage.state is not State.QUEUED or stage.done > 0


def _read(plan: Plan, execution: Execution, store: Store) -> Progress | None:
    """Return what an execution reported, if the store answers: who looks on must not end what goes on."""
    ref = execution.task.ref(plan.stage(execution.task.stage))
    try:
        return read_progress(store, ref, execution_name(plan, execution))
    except InfrastructureError:
        return None
