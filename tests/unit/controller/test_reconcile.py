"""Reconcile: single decisions on values."""

from __future__ import annotations

import pytest
from run_builders import SECOND, ended, make_recipe, plan_of, running, spec_of

from controller.reconcile import World, needed_stages, reconcile, tasks_of
from controller.retries import Policy
from controller.state import Reason, RunStatus, Start, State, Stop, Task

POLICY = Policy(backoff_s=10)
NOW = 100 * SECOND


def committed(plan, *stages: str) -> frozenset[Task]:
    return frozenset(task for name in stages for task in tasks_of(plan.stage(name)))


def decide(executions=(), stages=(), spec=None, previous=None, now=NOW, policy=POLICY):
    spec = spec or spec_of()
    return reconcile(spec, previous, World(tuple(executions), committed(spec.plan, *stages)), now, policy)


def start(stage, shard=0, attempt=1) -> Start:
    return Start(task=Task(stage=stage, shard=shard), attempt=attempt)


def stop(stage, shard=0, attempt=1) -> Stop:
    return Stop(task=Task(stage=stage, shard=shard), attempt=attempt)


def sharded(curate=3):
    recipe = make_recipe(curate={"drives": [{"format": "jsonl", "uri": "file:///d"}], "shards": curate})
    return spec_of(plan_of(recipe))


def test_a_new_run_starts_its_first_stage():
    decision = decide()

    assert decision.status.state is State.QUEUED
    assert decision.actions == (start("curate-map"),)


def test_a_stage_starts_when_its_inputs_are_committed():
    assert decide(stages=["curate-map"]).actions == (start("curate"),)


def test_a_stage_at_work_is_left_alone():
    decision = decide([running("curate-map")])

    assert decision.status.state is State.RUNNING
    assert decision.actions == ()


def test_what_is_committed_is_not_run_again():
    decision = decide(stages=["curate", "train"])

    assert decision.actions == (start("evaluate-map"),)
    assert [stage.reason for stage in decision.status.stages[:3]] == ["NotNeeded", "Reused", "Reused"]


def test_a_committed_report_is_a_success_even_of_a_cancelled_run():
    decision = decide(stages=["evaluate"], spec=spec_of(cancel=True))

    assert decision.status.state is State.SUCCEEDED


def test_all_shards_start_at_once_up_to_the_limit():
    decision = decide(spec=sharded(), policy=Policy(parallel=2))

    assert decision.actions == (start("curate-map", 0), start("curate-map", 1))


def test_the_next_shard_starts_when_one_is_done():
    spec = sharded()
    world = World((ended("curate-map", 0), running("curate-map", 1)), frozenset([Task(stage="curate-map", shard=0)]))

    decision = reconcile(spec, None, world, NOW, Policy(parallel=2))

    assert decision.actions == (start("curate-map", 2),)
    assert decision.status.stages[0].done == 1


def test_a_failure_that_may_pass_waits_and_then_starts_the_next_attempt():
    failed = ended("train", 30, ended_us=NOW)

    waiting = decide([failed], ["curate"])
    later = decide([failed], ["curate"], now=NOW + 10 * SECOND)

    assert waiting.status.state is State.RETRYING
    assert waiting.actions == ()
    assert later.actions == (start("train", attempt=2),)


def test_a_failure_for_good_fails_the_run_with_its_cause():
    failed = ended("train", 13, message="needs 30 GB; set train.batch_size=1", log_tail=("last words",))

    status = decide([failed], ["curate"]).status

    assert status.state is State.FAILED
    assert status.reason == "GpuMemory"
    assert status.cause is not None
    assert (status.cause.exit_code, status.cause.log_tail) == (13, ("last words",))


def test_one_failed_shard_stops_the_others_before_the_run_ends():
    executions = [ended("curate-map", 1), running("curate-map", 1), running("curate-map", 2)]

    decision = decide(executions, spec=sharded())

    assert decision.status.state is State.RUNNING
    assert decision.actions == (stop("curate-map", 1), stop("curate-map", 2))


def test_shards_with_bad_data_let_the_others_finish_and_are_all_named():
    bad = [ended("curate-map", 11, shard, message=f"drive {shard} is empty") for shard in (0, 2)]

    going_on = decide([*bad, running("curate-map", 1)], spec=sharded())
    done = reconcile(
        sharded(),
        None,
        World((*bad, ended("curate-map", 0, 1)), frozenset([Task(stage="curate-map", shard=1)])),
        NOW,
        POLICY,
    )

    assert going_on.actions == ()
    assert done.status.state is State.FAILED
    assert done.status.message == "curate-map/0: drive 0 is empty\ncurate-map/2: drive 2 is empty"


def test_cancelling_stops_what_runs_and_then_is_terminal():
    spec = spec_of(cancel=True)

    stopping = decide([running("curate-map")], spec=spec)
    gone = decide([ended("curate-map", 31)], spec=spec)

    assert (stopping.status.state, stopping.actions) == (State.RUNNING, (stop("curate-map"),))
    assert (gone.status.state, gone.actions) == (State.CANCELLED, ())


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELLED])
def test_a_terminal_state_never_changes_by_itself(state):
    previous = RunStatus(state=state, message="as it was")

    decision = decide([running("train")], ["curate"], previous=previous)

    assert decision.status == previous
    assert decision.actions == (stop("train"),)


def test_a_person_asking_again_starts_afresh_with_the_next_attempt():
    spec = spec_of(retry=1, first_attempt=2)
    previous = decide([ended("train", 13)], ["curate"]).status

    decision = decide([ended("train", 13)], ["curate"], spec=spec, previous=previous)

    assert decision.actions == (start("train", attempt=2),)
    assert decision.status.cause is None


def test_who_vanishes_without_an_end_is_lost_and_tried_again():
    previous = decide([running("train")], ["curate"]).status

    decision = decide([], ["curate"], previous=previous)

    assert decision.status.state is State.RETRYING
    assert decision.status.executions[0].reason == Reason.LOST


def test_an_end_stays_as_it_was_first_seen():
    previous = decide([ended("train", 13, message="first")], ["curate"]).status.model_copy(
        update={"state": State.RUNNING}
    )

    decision = decide([ended("train", 137, message="later")], ["curate"], previous=previous)

    assert decision.status.reason == "GpuMemory"


def test_the_first_cause_is_kept():
    first = decide([ended("train", 13, message="first"), running("train", attempt=2)], ["curate"]).status
    previous = decide([ended("curate-map", 12, message="first")]).status.model_copy(update={"state": State.RUNNING})

    decision = decide([ended("train", 13, message="second")], previous=previous)

    assert first.cause is None
    assert decision.status.cause == previous.cause


def test_a_stage_beyond_its_hours_is_stopped_and_fails():
    recipe = make_recipe(limits={"hours": 1})
    spec = spec_of(plan_of(recipe))
    late = NOW + 3601 * SECOND

    stopping = decide([running("train", started_us=NOW)], ["curate"], spec=spec, now=late)
    over = decide([ended("train", 31, started_us=NOW, ended_us=late)], ["curate"], spec=spec, now=late)

    assert stopping.actions == (stop("train"),)
    assert (over.status.state, over.status.reason) == (State.FAILED, "DeadlineExceeded")


def test_time_that_a_stage_waits_for_its_place_is_not_counted():
    spec = spec_of(plan_of(make_recipe(limits={"hours": 1})))
    waiting = running("train", state=State.UNSCHEDULABLE, started_us=None)

    decision = decide([waiting], ["curate"], spec=spec, now=NOW + 48 * 3600 * SECOND)

    assert decision.actions == ()
    assert decision.status.state is State.UNSCHEDULABLE


@pytest.mark.parametrize("state", [State.UNSCHEDULABLE, State.PULLING, State.STARTING])
def test_waiting_is_told_from_running(state):
    decision = decide([running("train", state=state, started_us=None, message="no node has 80 GB")], ["curate"])

    assert decision.status.state is state
    assert decision.status.message == "train: no node has 80 GB"


def test_stages_whose_results_nobody_needs_are_not_run():
    plan = plan_of()

    assert [stage.name for stage in needed_stages(plan, committed(plan, "train"))] == [
        "curate-map",
        "curate",
        "evaluate-map",
        "evaluate",
    ]
