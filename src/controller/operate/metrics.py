"""What Prometheus reads of `operate`. Labels are states, stages and kinds of errors: a few dozen series, no run's name.

https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

import threading
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from controller.records import RunRecord, RunSummary
from controller.state import State
from touge.contract.errors import TougeError

#: A look at a run takes from a few milliseconds (local) to minutes (a store that hangs).
_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)


class Metrics:
    """Counts what the operator does, and knows the runs that it saw last.

    Args:
        depth: How many runs wait for a worker.
    """

    def __init__(self, depth: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self._runs = _Runs()
        self._registry.register(self._runs)
        self.seconds = Histogram(
            "touge_reconcile_seconds", "Time of one look at one run", buckets=_SECONDS, registry=self._registry
        )
        self._errors = Counter(
            "touge_reconcile_errors", "Looks at a run, or at the list of runs, that failed", ["kind"],
            registry=self._registry,
        )  # fmt: skip
        self._last = Gauge(
            "touge_last_reconcile_timestamp_seconds", "When a look at a run last went well", registry=self._registry
        )
        waiting = Gauge("touge_queue_depth", "Runs that wait for a worker", registry=self._registry)
        waiting.set_function(depth)

    def listed(self, runs: Iterable[RunSummary]) -> None:
        """Take over all runs."""
        self._runs.replace({known.run: known.state for known in runs})

    def succeeded(self, record: RunRecord) -> None:
        """Take over one run that was looked at."""
        self._runs.update(record)
        self._last.set_to_current_time()

    def forgotten(self, run: str) -> None:
        """Leave out a run that was deleted."""
        self._runs.remove(run)

    def failed(self, error: Exception) -> None:
        """Count an error by its kind; whatever is none of ours is a bug."""
        self._errors.labels(type(error).__name__ if isinstance(error, TougeError) else "Bug").inc()

    def text(self) -> bytes:
        """Return all of it in Prometheus' text format."""
        return generate_latest(self._registry)


class _Runs(Collector):
    """Runs by state, executions by stage and state, counted when they are asked for."""

    def __init__(self) -> None:
        self._states: dict[str, State] = {}
        self._executions: dict[str, Counts[tuple[str, State]]] = {}
        self._lock = threading.Lock()

    def replace(self, states: dict[str, State]) -> None:
        with self._lock:
            self._states = states
            self._executions = {run: counts for run, counts in self._executions.items() if run in states}

    def update(self, record: RunRecord) -> None:
        executions = record.status.executions if record.status else ()
        with self._lock:
            self._states[record.run] = RunSummary.of(record).state
            self._executions[record.run] = Counts((e.task.stage, e.state) for e in executions)

    def remove(self, run: str) -> None:
        with self._lock:
            self._states.pop(run, None)
            self._executions.pop(run, None)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        with self._lock:
            runs = Counts(self._states.values())
            executions = sum(self._executions.values(), Counts[tuple[str, State]]())
        family = GaugeMetricFamily("touge_runs", "Runs by state", labels=["state"])
        for state in State:
            family.add_metric([state], runs[state])
        yield family
        family = GaugeMetricFamily("touge_executions", "Executions by stage and state", labels=["stage", "state"])
        for (stage, state), count in sorted(executions.items()):
            family.add_metric([stage, state], count)
        yield family
