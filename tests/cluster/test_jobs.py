"""Jobs of the manifest builder, run by real kubelets: what each end of a stage leads to."""

from __future__ import annotations

import copy

import pytest
from cluster_runs import attempt, chart_templates, make_account, plan_for, recorded
from daemons import wait_until
from eventually import PATIENCE_S, eventually
from real_node import NAME
from small_images import SHELL

#: What a stage does that is told to stop: it leaves with 31.
AT_WORK = "trap 'exit 31' TERM; sleep 600 & wait"


class Runs:
    """Makes Jobs of one plan in one namespace, and tells what became of them."""

    def __init__(self, plane, namespace):
        self.plane, self.namespace = plane, namespace
        make_account(plane, namespace)

    def start(self, stage, script, *, number=1, memory="64Mi", **recipe):
        """Start a stage whose container runs a shell script instead, and return the Job's name."""
        plan = plan_for(**recipe)
        templates, owner = chart_templates(self.namespace), recorded(self.plane, plan, self.namespace)
        *others, job = attempt(plan, stage, templates, owner, number)
        self.plane.create([*others, shell_job(job, script, memory)])
        return job["metadata"]["name"]

    def job(self, name):
        return self.plane.get("job", name, "--namespace", self.namespace)

    def pods(self, name):
        found = self.plane.get("pods", "--namespace", self.namespace, f"--selector=job-name={name}")
        return sorted(found["items"], key=lambda pod: pod["metadata"]["creationTimestamp"])

    def ended(self, name):
        """Wait for a Job's end, and return (type, reason) of the condition that says it, and its status."""
        wait_until(lambda: end_of(self.job(name)), f"{name} ends", seconds=PATIENCE_S, told=lambda: self.told(name))
        return end_of(self.job(name)), self.job(name)["status"]

    def awaited_pods(self, name, count):
        wait_until(
            lambda: len(self.pods(name)) >= count,
            f"{name} has {count} pods",
            seconds=PATIENCE_S,
            told=lambda: self.told(name),
        )
        return self.pods(name)

    def running_pod(self, name):
        def running():
            return [pod for pod in self.pods(name) if pod["status"].get("phase") == "Running"]

        found = eventually(running, PATIENCE_S)
        assert found, self.told(name)
        return found[0]["metadata"]["name"]

    def told(self, name):
        return self.plane.kubectl("describe", "job,pods", "--namespace", self.namespace)[-3000:]


def shell_job(job, script, memory):
    """Return the Job with our own image and resources; security, volumes, variables and policies stay."""
    job = copy.deepcopy(job)
    spec = job["spec"]["template"]["spec"]
    spec["nodeSelector"] = {"kubernetes.io/hostname": NAME}
    (stage,) = spec["containers"]
    gpus = {name: amount for name, amount in stage["resources"].get("limits", {}).items() if "/" in name}
    stage |= {"image": SHELL, "command": ["/bin/sh", "-c", script], "imagePullPolicy": "Never"}
    stage["resources"] = {"limits": {"memory": memory, **gpus}, "requests": {"cpu": "10m"}}
    stage["env"] = [item for item in stage["env"] if "secretKeyRef" not in item.get("valueFrom", {})]
    return job


def end_of(job):
    for condition in job.get("status", {}).get("conditions", ()):
        if condition["type"] in {"Complete", "Failed"} and condition["status"] == "True":
            return condition["type"], condition.get("reason")
    return None


def state_of(pod):
    (status,) = pod["status"]["containerStatuses"]
    return status["state"]["terminated"]


@pytest.fixture
def runs(plane, namespace):
    return Runs(plane, namespace)


ENDS = {
    0: ("Complete", "CompletionsReached"),
    1: ("Failed", "PodFailurePolicy"),
    10: ("Failed", "PodFailurePolicy"),
    13: ("Failed", "PodFailurePolicy"),
    30: ("Failed", "BackoffLimitExceeded"),
    134: ("Failed", "BackoffLimitExceeded"),
    143: ("Failed", "BackoffLimitExceeded"),
}


@pytest.fixture(scope="module")
def of_each_code(plane):
    """Return the Jobs of stages that end with each code, all at once, by code."""
    runs = Runs(plane, plane.restricted_namespace())
    yield runs, {code: runs.start("curate", f"exit {code}", name=f"code-{code}") for code in ENDS}
    plane.kubectl("delete", "namespace", runs.namespace, "--wait=false")


@pytest.mark.parametrize("code", ENDS)
def test_an_exit_code_ends_the_job_as_the_table_says(code, of_each_code):
    runs, names = of_each_code

    assert runs.ended(names[code])[0] == ENDS[code]
    assert [state_of(pod)["exitCode"] for pod in runs.pods(names[code])] == [code]


def test_an_interrupted_stage_gets_another_pod_and_costs_nothing(runs):
    name = runs.start("curate", "exit 31")

    assert len(runs.awaited_pods(name, 2)) == 2
    assert "failed" not in runs.job(name)["status"]


def test_a_stage_that_takes_more_memory_than_it_may_is_killed_and_the_kernel_is_named(runs):
    name = runs.start("curate", "exec tail /dev/zero", memory="32Mi")
    end, _ = runs.ended(name)

    assert end == ("Failed", "BackoffLimitExceeded")
    assert [(state_of(pod)["exitCode"], state_of(pod)["reason"]) for pod in runs.pods(name)] == [(137, "OOMKilled")]


def test_an_evicted_stage_gets_another_pod_and_costs_nothing(runs):
    name = runs.start("curate", AT_WORK)
    pod = runs.running_pod(name)
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": runs.namespace},
        "deleteOptions": {"gracePeriodSeconds": 1},
    }
    runs.plane.kubectl(
        "create", "--raw", f"/api/v1/namespaces/{runs.namespace}/pods/{pod}/eviction", "--filename=-", given=eviction
    )
    runs.awaited_pods(name, 1)
    wait_until(lambda: runs.running_pod(name) != pod, "another pod runs", seconds=PATIENCE_S)

    assert "failed" not in runs.job(name)["status"]


def deleted(runs, script):
    """Start a stage, delete its pod as somebody with kubectl would, and return the Job's and the pod's name."""
    name = runs.start("curate", script)
    pod = runs.running_pod(name)
    runs.plane.kubectl("delete", "pod", pod, "--namespace", runs.namespace, "--grace-period=1")
    return name, pod


def test_a_pod_that_somebody_deletes_counts_as_a_failure(runs):
    name, _ = deleted(runs, "exec sleep 600")

    assert runs.ended(name)[0] == ("Failed", "BackoffLimitExceeded")


def test_a_pod_that_somebody_deletes_costs_nothing_where_the_stage_leaves_as_interrupted(runs):
    name, pod = deleted(runs, AT_WORK)
    wait_until(lambda: runs.running_pod(name) != pod, "another pod runs", seconds=PATIENCE_S)

    assert "failed" not in runs.job(name)["status"]


def test_bad_data_fails_its_shard_alone(runs):
    name = runs.start("curate-map", '[ "$JOB_COMPLETION_INDEX" = 0 ] && exit 11; exit 0', curate=sharded(2))
    end, status = runs.ended(name)

    assert end == ("Failed", "FailedIndexes")
    assert (status["failedIndexes"], status["completedIndexes"]) == ("0", "1")


def test_a_wrong_recipe_fails_all_shards_at_once(runs):
    name = runs.start("curate-map", '[ "$JOB_COMPLETION_INDEX" = 0 ] && exit 10; ' + AT_WORK, curate=sharded(2))

    assert runs.ended(name)[0] == ("Failed", "PodFailurePolicy")


def sharded(count):
    return {"drives": [{"format": "jsonl", "uri": "file:///drives"}], "shards": count}


def test_of_several_nodes_who_is_lost_takes_all_with_it(runs):
    name = runs.start(
        "train", '[ "$JOB_COMPLETION_INDEX" = 1 ] && exit 30; ' + AT_WORK, resources={"nodes": 2, "gpus": 1}
    )
    end, status = runs.ended(name)

    assert end == ("Failed", "PodFailurePolicy")
    assert status["failed"] == 2


def test_nodes_find_the_first_by_its_name_and_tell_it_apart(runs):
    name = runs.start("train", "echo $MASTER_ADDR $JOB_COMPLETION_INDEX", resources={"nodes": 2, "gpus": 1})
    runs.ended(name)
    said = [
        runs.plane.kubectl("logs", pod["metadata"]["name"], "--namespace", runs.namespace) for pod in runs.pods(name)
    ]

    assert sorted(said) == [f"{name}-0.{name} 0\n", f"{name}-0.{name} 1\n"]
    service = runs.plane.get("service", name, "--namespace", runs.namespace)
    assert service["spec"]["clusterIP"] == "None"


def test_a_stage_may_write_its_folders_and_nothing_else_and_has_no_token(runs):
    name = runs.start(
        "curate",
        "id -u; for d in /scratch /cache /tmp /dev/shm / /plan; do touch $d/x 2>/dev/null && echo $d; done; "
        "ls /var/run/secrets 2>/dev/null; head -c 1 /plan/plan.json",
    )
    assert runs.ended(name)[0][0] == "Complete"
    (pod,) = runs.pods(name)
    said = runs.plane.kubectl("logs", pod["metadata"]["name"], "--namespace", runs.namespace)

    assert said.split() == ["10001", "/scratch", "/cache", "/tmp", "/dev/shm", "{"]


def test_what_a_stage_says_at_its_end_is_in_its_pods_status(runs):
    name = runs.start("curate", 'echo the drives hold no bend >"$TOUGE_TERMINATION_LOG"; exit 11')
    runs.ended(name)

    assert [state_of(pod)["message"] for pod in runs.pods(name)] == ["the drives hold no bend\n"]


def test_a_run_that_is_deleted_takes_its_jobs_with_it(runs):
    name = runs.start("curate", AT_WORK)
    runs.running_pod(name)
    runs.plane.kubectl("delete", "configmap", plan_for().run, "--namespace", runs.namespace)

    assert eventually(lambda: runs.plane.get("jobs", "--namespace", runs.namespace)["items"] == [], PATIENCE_S)
