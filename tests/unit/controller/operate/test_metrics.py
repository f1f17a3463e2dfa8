"""What Prometheus reads."""

from prometheus_client.parser import text_string_to_metric_families
from run_builders import ended, plan_of, running, spec_of

from controller.operate.metrics import Metrics
from controller.records import RunRecord, RunSummary
from controller.state import RunStatus, State
from touge.contract.errors import InfrastructureError


def record(name, state, *executions):
    plan = plan_of().model_copy(update={"run": name})
    status = RunStatus(state=state, executions=executions) if state else None
    return RunRecord(version=1, spec=spec_of(plan), status=status)


def known(name, state):
    return RunSummary.of(record(name, state))


def values(metrics):
    """Return each sample's value by name and labels."""
    families = text_string_to_metric_families(metrics.text().decode())
    return {(s.name, *sorted(s.labels.values())): s.value for family in families for s in family.samples}


def test_runs_are_counted_by_state_and_absent_states_are_zero():
    metrics = Metrics(lambda: 0)
    metrics.listed([known("a", State.RUNNING), known("b", State.RUNNING), known("c", None)])

    found = values(metrics)

    assert 2 == found["touge_runs", "Running"]
    assert 1 == found["touge_runs", "Queued"]
    assert 0 == found["touge_runs", "Failed"]


def test_executions_are_counted_by_stage_and_state():
    metrics = Metrics(lambda: 0)
    metrics.succeeded(record("a", State.RUNNING, running("train"), ended("curate", 0), ended("curate", 30, attempt=2)))

    found = values(metrics)

    assert 1 == found["touge_executions", "Running", "train"]
    assert 1 == found["touge_executions", "Failed", "curate"]


def test_a_run_that_left_the_list_is_no_longer_counted():
    metrics = Metrics(lambda: 0)
    metrics.listed([known("a", State.RUNNING)])
    metrics.listed([])

    assert 0 == values(metrics)["touge_runs", "Running"]


def test_errors_are_counted_by_kind_and_strangers_are_bugs():
    metrics = Metrics(lambda: 0)
    for error in (InfrastructureError("x"), InfrastructureError("y"), KeyError("AWS_SECRET_ACCESS_KEY=abc")):
        metrics.failed(error)

    found = values(metrics)

    assert 2 == found["touge_reconcile_errors_total", "InfrastructureError"]
    assert 1 == found["touge_reconcile_errors_total", "Bug"]
    assert b"abc" not in metrics.text()


def test_the_queues_depth_is_asked_for_when_it_is_read():
    depth = [3]
    metrics = Metrics(lambda: depth[0])
    depth[0] = 5

    assert 5 == values(metrics)["touge_queue_depth",]


def test_a_look_that_went_well_is_dated():
    metrics = Metrics(lambda: 0)
    before = values(metrics)["touge_last_reconcile_timestamp_seconds",]
    metrics.succeeded(record("a", State.RUNNING))

    assert 0 == before
    assert values(metrics)["touge_last_reconcile_timestamp_seconds",] > 1.7e9


def test_the_number_of_series_does_not_grow_with_the_runs():
    few, many = Metrics(lambda: 0), Metrics(lambda: 0)
    few.succeeded(record("a", State.RUNNING, running("train")))
    for number in range(500):
        many.succeeded(record(f"r{number}", State.RUNNING, running("train")))

    assert len(values(few)) == len(values(many))
