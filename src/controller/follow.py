"""The control loop: see, reconcile, record, act; again until the run is over.

The only place where decisions become effects. Any number of these may follow one run: whoever writes the
status first acts, and a runner starts each attempt at most once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from controller.absent import AbsentStore
from controller.archive import archive, mark_cancelled, unmark_cancelled
from controller.facts import see
from controller.reconcile import reconcile
from controller.records import Records, RunRecord
from controller.retries import Policy
from controller.runners.port import Runner, StartRequest
from controller.state import Action, RunStatus, Start, State
from touge.contract.errors import Conflict, InfrastructureError, ObjectNotFound, SettingsError
from touge.storage.port import Store

log = structlog.get_logger()

#: Said of a run that is left to a controller that can reach the store.
UNSEEN = "waits for the controller in the cluster to see it; is it running?"
#: Failures of store or cluster in a row that the loop rides out before it gives up (the run itself goes on).
_PATIENCE = 8
_LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class Desk:
    """What a controller works with.

    Args:
        records: Run records.
        runner: Sets executions to work.
        store: Artifacts.
        policy: How often each kind of failure is forgiven.
        clock: Unix time in microseconds.
        pause_s: Seconds between two looks at a run.
    """

    records: Records
    runner: Runner
    store: Store
    policy: Policy
    clock: Callable[[], int]
    pause_s: float = 0.3

    @property
    def blind(self) -> bool:
        """Whether commits cannot be seen: such a desk shows what others have recorded and decides nothing."""
        return isinstance(self.store, AbsentStore)


def look(desk: Desk, record: RunRecord) -> RunStatus:
    """Return a run's status as it is now, changing nothing; without a store, as it was recorded last."""
    if desk.blind:
        return record.status or RunStatus(state=State.QUEUED, message=UNSEEN)
    world = see(record.spec.plan, record.status, desk.runner, desk.store)
    return reconcile(record.spec, record.status, world, desk.clock(), desk.policy).status


def tick(desk: Desk, run: str) -> RunRecord:
    """Do one round: record what follows from what is seen, then act on it; without a store, only read the record."""
    record = desk.records.read(run)
    if desk.blind:
        return record
    world = see(record.spec.plan, record.status, desk.runner, desk.store)
    decision = reconcile(record.spec, record.status, world, desk.clock(), desk.policy)
    if decision.status != record.status:
        changed = record.model_copy(update={"status": decision.status})
        if _begins(record):
            unmark_cancelled(run, desk.store)
        if decision.status.state.terminal:
            archive(changed, desk.store)
        try:
            record = desk.records.update(changed)
        except Conflict:
            return desk.records.read(run)
    _act(desk, record, decision.actions)
    return record


def _act(desk: Desk, record: RunRecord, actions: Sequence[Action]) -> None:
    """Do what was decided; a cancelled run is marked before its executions are told to end."""
    run, spec = record.run, record.spec
    if spec.cancel:
        mark_cancelled(run, desk.store)
    for action in actions:
        if isinstance(action, Start):
            desk.runner.start(StartRequest(spec.plan, action.task, action.attempt, desk.store.uri))
        else:
            desk.runner.stop(run, action.task, action.attempt)


def _begins(record: RunRecord) -> bool:
    """Whether a try is yet to be recorded: a mark in the store is then of an earlier one, or of a deleted run."""
    return record.status is None or record.status.retry != record.spec.retry


def follow(desk: Desk, run: str, watch: Callable[[RunRecord], None], until: Callable[[], bool]) -> RunRecord:
    """Work on a run until it is over, or until told to leave it.

    Args:
        desk: What to work with.
        run: The run's id.
        watch: Called after each round.
        until: Asked after each round; True leaves the run as it is.

    Raises:
        InfrastructureError: If the store, or the cluster, failed many times in a row.
        SettingsError: If what was allowed before is refused as often: an API server that comes up refuses everything
            until it has read its roles.
    """
    failures, record, worked = 0, desk.records.read(run), False
    while True:
        try:
            record = _shown(desk, record, watch)
            failures, worked = 0, True
        except ObjectNotFound:
            raise
        except (InfrastructureError, SettingsError) as error:
            failures += 1
            if failures >= _PATIENCE or (isinstance(error, SettingsError) and not worked):
                raise
            log.warning("no answer; trying again", error=str(error), failures=failures)
        if record.over or until():
            return record
        time.sleep(min(_LONGEST_PAUSE_S, desk.pause_s * 2**failures))


def _shown(desk: Desk, record: RunRecord, watch: Callable[[RunRecord], None]) -> RunRecord:
    """Do one round; where it fails, what was known is shown all the same, for people may want to end it."""
    try:
        record = tick(desk, record.run)
    finally:
        watch(record)
    return record
