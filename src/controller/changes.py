"""What verbs may change of a run: its spec, and nothing else. Each change is repeated until nobody was faster."""

from __future__ import annotations

from collections.abc import Callable

from controller.records import Records, RunRecord
from controller.state import RunSpec
from touge.contract.errors import Conflict
from touge.contract.plan import Plan


def request_cancel(records: Records, run: str) -> RunRecord:
    """Ask for the end of a run; a run that is over stays as it is."""
    return _change(records, run, lambda record: record.spec.model_copy(update={"cancel": True}))


def request_retry(records: Records, run: str, plan: Plan | None = None) -> RunRecord:
    """Ask for another try of a run that is over; earlier attempts no longer count.

    Args:
        records: Where the run's record lives.
        run: The run's id.
        plan: A plan of the same run id, where what is not part of an id (resources, limits, shards) has changed.
    """

    def again(record: RunRecord) -> RunSpec:
        executions = record.status.executions if record.status else ()
        first = max((execution.attempt for execution in executions), default=0) + 1
        update = {"cancel": False, "retry": record.spec.retry + 1, "first_attempt": first}
        return record.spec.model_copy(update=update | ({"plan": plan} if plan else {}))

    return _change(records, run, again, only_if=lambda record: record.over)


def _change(
    records: Records,
    run: str,
    change: Callable[[RunRecord], RunSpec],
    only_if: Callable[[RunRecord], bool] = lambda record: not record.over,
) -> RunRecord:
    while True:
        record = records.read(run)
        if not only_if(record):
            return record
        try:
            return records.update(record.model_copy(update={"spec": change(record)}))
        except Conflict:
            continue
