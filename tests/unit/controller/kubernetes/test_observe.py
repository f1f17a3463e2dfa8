"""What Jobs, pods and events mean."""

from __future__ import annotations

import pytest
from pod_builders import DISRUPTED, condition, ended, job, pod, running, time, us

from controller.runners.kubernetes.observe import Sight, observed
from controller.state import State

NOW = us(100)


def see(jobs, pods=(), **more):
    jobs = jobs if isinstance(jobs, list) else [jobs]
    return [seen.execution for seen in observed(Sight(jobs, list(pods), more.pop("now_us", NOW), **more))]


def states(executions):
    return [(e.task.shard, e.state, e.reason) for e in executions]


def event(thing, reason, message, kind="Normal"):
    about = {"uid": thing["metadata"]["uid"]}
    return {"involvedObject": about, "reason": reason, "message": message, "type": kind, "lastTimestamp": time(2)}


def unplaced(owner, at=10, reason="Unschedulable", message="0/3 nodes are available"):
    conditions = [condition("PodScheduled", "False", at, reason=reason, message=message)]
    return pod(owner, status={"conditions": conditions})


def waiting(owner, reason, message=""):
    state = {"waiting": {"reason": reason, "message": message}}
    return pod(owner, node="n1", status={"containerStatuses": [{"name": "stage", "state": state}]})


def test_a_job_without_pods_is_queued_under_its_own_uid():
    (execution,) = see(job())

    assert (execution.state, execution.uid, execution.placeholder) == (State.QUEUED, "uid-bend-train-1", True)


def test_an_execution_goes_by_the_uid_of_its_pod():
    (execution,) = see(train := job(), [running(train, "a-pod")])

    assert (execution.uid, execution.state, execution.started_us) == ("a-pod", State.RUNNING, us(5))
    assert not execution.placeholder


def test_an_execution_says_on_which_node_it_is_and_was():
    (going,) = see(train := job(), [running(train, node="n7")])
    (over,) = see(train, [ended(train, 0, node="n8")])

    assert (going.nodes, over.nodes) == (("n7",), ("n8",))


def test_a_job_that_kueue_holds_back_says_why():
    held = job(suspend=True, labels={"kueue.x-k8s.io/queue-name": "gpus"})
    workload = {"status": {"conditions": [condition("QuotaReserved", "False", reason="Pending", message="no quota")]}}

    (execution,) = see(held, workloads={held["metadata"]["uid"]: workload})

    assert execution.state is State.QUEUED
    assert execution.message == "waits in queue gpus: Pending: no quota"


def test_a_job_that_kueue_took_back_says_why():
    held = job(suspend=True, labels={"kueue.x-k8s.io/queue-name": "gpus"})
    workload = {"status": {"conditions": [condition("Evicted", reason="Preempted", message="for a better one")]}}

    (execution,) = see(held, workloads={held["metadata"]["uid"]: workload})

    assert execution.message == "waits in queue gpus again: Preempted: for a better one"


def test_pods_that_the_cluster_refuses_are_told_by_the_jobs_event():
    refused = job()
    events = [event(refused, "FailedCreate", "exceeded quota: gpus", "Warning")]

    (execution,) = see(refused, events=events)

    assert execution.message == "the cluster refuses its pods: exceeded quota: gpus"


def test_a_pod_without_a_node_says_what_no_node_has_and_since_when():
    train = job()

    (execution,) = see(train, [unplaced(train, at=20)], unmet=lambda _: "needs a GPU with >= 80 GB")

    assert execution.state is State.UNSCHEDULABLE
    assert execution.message == "needs a GPU with >= 80 GB. 0/3 nodes are available"
    assert execution.since_us == us(20)


def test_a_pod_that_is_gated_is_queued():
    train = job()

    assert see(train, [unplaced(train, reason="SchedulingGated")])[0].state is State.QUEUED


def test_a_pod_whose_image_is_on_its_way_is_pulling():
    train = job()
    one = waiting(train, "ContainerCreating")

    (execution,) = see(train, [one], events=[event(one, "Scheduled", ""), event(one, "Pulling", "Pulling touge/train")])

    assert (execution.state, execution.message) == (State.PULLING, "Pulling touge/train")


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName"])
def test_an_image_that_cannot_be_pulled_is_said(reason):
    train = job()

    (execution,) = see(train, [waiting(train, reason, "touge/train: not found")])

    assert (execution.state, execution.message) == (State.PULLING, f"{reason}: touge/train: not found")


def test_a_pod_that_is_made_ready_is_starting_and_says_what_fails():
    train = job()
    one = waiting(train, "ContainerCreating")

    (execution,) = see(train, [one], events=[event(one, "FailedMount", "no such claim", "Warning")])

    assert (execution.state, execution.message) == (State.STARTING, "FailedMount: no such claim")


def test_a_container_that_cannot_be_made_says_why():
    train = job()

    (execution,) = see(train, [waiting(train, "CreateContainerConfigError", 'secret "s3" not found')])

    assert (execution.state, execution.message) == (
        State.STARTING,
        'CreateContainerConfigError: secret "s3" not found',
    )


@pytest.mark.parametrize(("code", "reason"), [(1, "Error"), (10, "InvalidRecipe"), (13, "GpuMemory"), (139, "Crashed")])
def test_an_exit_code_is_told_with_its_message(code, reason):
    train = job()

    (execution,) = see(train, [ended(train, code, message="said last\n")])

    assert (execution.state, execution.exit_code, execution.reason) == (State.FAILED, code, reason)
    assert (execution.message, execution.ended_us) == ("said last", us(9))


def test_a_container_killed_for_memory_says_so():
    train = job()

    assert see(train, [ended(train, 137, reason="OOMKilled")])[0].reason == "OOMKilled"


def test_a_child_killed_for_memory_does_not_make_a_success_a_failure():
    train = job()

    (execution,) = see(train, [ended(train, 0, reason="OOMKilled")])

    assert (execution.state, execution.exit_code) == (State.SUCCEEDED, 0)


def test_a_pod_that_was_evicted_is_replaced_inside_its_job():
    train = job()

    executions = see(train, [ended(train, 143, conditions=[DISRUPTED])])

    assert states(executions) == [(0, State.FAILED, "Disrupted"), (0, State.QUEUED, "")]


def test_the_replacement_takes_the_place_of_the_placeholder():
    train = job()

    executions = see(train, [ended(train, 31), running(train, "p2", born=10)])

    assert [(e.uid, e.ended, e.attempt) for e in executions] == [("p1", True, 1), ("p2", False, 1)]


@pytest.mark.parametrize("code", [1, 13, 30, 137, 143])
def test_a_pod_that_failed_is_not_replaced_inside_its_job(code):
    train = job()

    assert [e.ended for e in see(train, [ended(train, code)])] == [True]


def test_an_evicted_pod_that_vanished_leaves_a_placeholder_until_the_next():
    assert [e.placeholder for e in see(job())] == [True]


def test_a_job_that_is_being_deleted_waits_for_nothing():
    assert see(job(deleted=50)) == []


def test_a_pod_that_was_told_to_end_is_at_work_until_it_has():
    train = job()
    going = running(train, metadata={"deletionTimestamp": time(200)}, conditions=[DISRUPTED])

    (execution,) = see(train, [going])

    assert (execution.state, execution.reason) == (State.RUNNING, "Disrupted")
    assert execution.message == "ending: Eviction API: evicting"


def test_a_pod_that_should_have_ended_long_ago_is_on_a_lost_node_and_the_remedy_is_said():
    train = job(terminating=1)
    stuck = running(train, node="gpu-7", metadata={"deletionTimestamp": time(20)}, conditions=[DISRUPTED])

    (execution,) = see(train, [stuck], now_us=us(81))

    assert (execution.state, execution.reason, execution.since_us) == (State.RUNNING, "NodeLost", us(20))
    assert "kubectl delete node gpu-7" in execution.message
    assert "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute" in execution.message


def test_a_job_that_was_too_slow_says_so_of_its_pods():
    late = job(conditions=(condition("FailureTarget", reason="DeadlineExceeded", message="active longer"),))

    assert see(late, [running(late)])[0].reason == "DeadlineExceeded"


def test_a_job_that_was_too_slow_to_get_a_pod_has_failed():
    late = job(conditions=(condition("Failed", at=60, reason="DeadlineExceeded", message="active longer"),))

    (execution,) = see(late)

    assert (execution.state, execution.reason, execution.ended_us) == (State.FAILED, "DeadlineExceeded", us(60))


def test_the_exit_code_of_a_pod_that_is_gone_is_read_from_its_job():
    words = "Container stage for pod roads/bend-train-1-x failed with exit code 12 matching FailJob rule at index 2"
    (execution,) = see(job(conditions=(condition("Failed", reason="PodFailurePolicy", message=words),)))

    assert (execution.state, execution.exit_code, execution.reason) == (State.FAILED, 12, "IncompatibleCheckpoint")


def test_a_job_whose_pod_was_deleted_by_hand_is_lost():
    words = "Job has reached the specified backoff limit"
    (execution,) = see(job(conditions=(condition("Failed", reason="BackoffLimitExceeded", message=words),)))

    assert (execution.exit_code, execution.reason, execution.message) == (None, "Lost", words)


def test_a_job_that_is_complete_though_its_pod_is_gone_succeeded():
    (execution,) = see(job(conditions=(condition("Complete"),), completionTime=time(50)))

    assert (execution.state, execution.exit_code, execution.ended_us) == (State.SUCCEEDED, 0, us(50))


def test_shards_of_one_job_are_executions_of_their_own():
    shards = job("curate-map", completions=4, completedIndexes="3")
    pods = [ended(shards, 11, "p0", index=0), running(shards, "p1", index=1)]

    assert states(see(shards, pods)) == [
        (0, State.FAILED, "InvalidData"),
        (1, State.RUNNING, ""),
        (2, State.QUEUED, ""),
        (3, State.SUCCEEDED, "Completed"),
    ]


def test_a_shard_that_is_tried_again_alone_goes_by_its_label():
    alone = job("curate-map", 2, shard=7)

    (execution,) = see(alone, [running(alone)])

    assert (execution.task.shard, execution.attempt) == (7, 2)


def test_a_shard_whose_pod_vanished_failed_where_its_job_says_so():
    shards = job("curate-map", completions=2, failedIndexes="1", completedIndexes="0")

    assert states(see(shards))[1] == (1, State.FAILED, "Lost")


def test_shards_that_were_stopped_with_a_failed_one_are_not_counted():
    words = "Container stage for pod roads/bend-curate-map-1-1-x for index 1 failed with exit code 10 matching FailJob"
    failed = job(
        "curate-map", completions=2, conditions=(condition("Failed", reason="PodFailurePolicy", message=words),)
    )

    assert [(e.exit_code, e.reason) for e in see(failed)] == [(None, "Disrupted"), (10, "InvalidRecipe")]


def test_several_nodes_are_one_execution_that_goes_by_node_0():
    train = job(completions=2)

    (execution,) = see(train, [running(train, "head", index=0), running(train, "other", index=1, node="n2")])

    assert (execution.uid, execution.state) == ("head", State.RUNNING)
    assert execution.nodes == ("n1", "n2")


def test_several_nodes_run_only_when_all_do():
    train = job(completions=2)
    late = pod(
        train, "other", index=1, status={"conditions": [condition("PodScheduled", "False", reason="Unschedulable")]}
    )

    (execution,) = see(train, [running(train, "head", index=0), late], unmet=lambda _: "needs 8 GPUs")

    assert (execution.state, execution.message) == (State.UNSCHEDULABLE, "node 1: needs 8 GPUs")


def test_one_dead_node_fails_all_when_the_others_have_ended():
    train = job(completions=2)
    dead = ended(train, 30, "other", index=1, message="NCCL: no route")

    (going,) = see(train, [running(train, "head", index=0), dead])
    (over,) = see(train, [ended(train, 31, "head", index=0, at=20), dead])

    assert (going.state, going.message) == (State.RUNNING, "node 1: NCCL: no route; stopping the others")
    assert (over.state, over.exit_code, over.uid, over.ended_us) == (State.FAILED, 30, "head", us(20))
    assert over.message == "node 1: NCCL: no route"


def test_several_nodes_have_succeeded_when_all_have():
    train = job(completions=2)

    (half,) = see(train, [ended(train, 0, "head", index=0), running(train, "other", index=1)])
    (whole,) = see(train, [ended(train, 0, "head", index=0), ended(train, 0, "other", index=1)])

    assert (half.state, half.exit_code) == (State.RUNNING, None)
    assert (whole.state, whole.exit_code) == (State.SUCCEEDED, 0)


def test_a_pod_whose_job_was_deleted_is_at_work_until_it_has_ended():
    gone = job("curate-map", completions=3)
    left = running(gone, index=2, metadata={"deletionTimestamp": time(200)})

    (execution,) = see([], [left])

    assert (execution.task.shard, execution.state) == (2, State.RUNNING)
