"""The Kubernetes runner against a real API server, Job controller and scheduler."""

from __future__ import annotations

import time

import pytest
from by_hand import gpu_node
from eventually import eventually
from run_builders import make_recipe, plan_of, spec_of

from controller.runners.kubernetes.client import Cluster
from controller.runners.kubernetes.records import ConfigMapRecords
from controller.runners.kubernetes.refusals import QuotaExceeded
from controller.runners.kubernetes.runner import KubernetesRunner
from controller.runners.port import StartRequest
from controller.state import Execution, State, Task
from touge.contract.errors import InfrastructureError

pytestmark = pytest.mark.slow

SHARDED = make_recipe(curate={"drives": [{"format": "jsonl", "uri": "file:///d"}], "shards": 2})
PROBE = {
    "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}},
}
MAP = Task(stage="curate-map")
TRAIN = Task(stage="train")


class Bench:
    """A recorded run, its runner, and the kubelet's part by hand."""

    def __init__(self, records, hands, plan) -> None:
        self.records, self.hands, self.plan = records, hands, plan
        self.runner = self.another()
        records.create(spec_of(plan))

    def another(self) -> KubernetesRunner:
        return KubernetesRunner(self.records, lambda: time.time_ns() // 1000, poll_s=0.05)

    def start(self, task=TRAIN, attempt=1, runner=None) -> None:
        (runner or self.runner).start(StartRequest(self.plan, task, attempt, "s3://roads/touge"))

    def seen(self) -> list[Execution]:
        return self.runner.observe(self.plan.run)

    def until(self, holds, what="a change") -> list[Execution]:
        return self.hands.until(lambda: (seen := self.seen()) and holds(seen) and seen, f"{what}, not {self.seen()}")

    def jobs(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.hands.get("jobs")["items"]]


@pytest.fixture
def bench(records, hands):
    return Bench(records, hands, plan_of(SHARDED))


@pytest.fixture(scope="module")
def node(plane):
    with gpu_node(plane, "gpu-16", 16376):
        yield


def test_a_job_is_owned_by_its_record_and_mounts_the_plan(bench, hands):
    bench.start()

    job = hands.get("jobs")["items"][0]

    (owner,) = job["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("ConfigMap", bench.plan.run)
    assert owner["uid"] == hands.get("configmap", bench.plan.run)["metadata"]["uid"]
    volumes = job["spec"]["template"]["spec"]["volumes"]
    assert bench.plan.run in [v["configMap"]["name"] for v in volumes if "configMap" in v]


def test_an_attempt_is_started_once_however_often_and_by_whomever_it_is_asked_for(bench):
    for runner in (bench.runner, bench.another(), bench.another()):
        bench.start(runner=runner)
        bench.start(runner=runner)

    assert len(bench.jobs()) == 1


def test_a_new_attempt_is_queued_until_it_has_a_pod(bench, hands):
    hands.kubectl("create", "quota", "none", "--hard=pods=0")
    bench.start()

    (execution,) = bench.until(lambda seen: "exceeded quota" in seen[0].message)

    assert (execution.state, execution.placeholder) == (State.QUEUED, True)


def test_a_pod_that_no_node_fits_says_what_it_needs_and_what_there_is(bench, node):
    bench.start()

    (execution,) = bench.until(lambda seen: seen[0].state is State.UNSCHEDULABLE)

    assert execution.message.startswith("needs a GPU with >= 24 GB; the largest here has 16 GB")
    assert "nodes are available" in execution.message


def test_where_a_stage_would_run_is_told_before_it_is_started(bench, node):
    assert "none now: needs a GPU with >= 24 GB" in bench.runner.place(bench.plan.stage("train"), bench.plan)
    assert bench.runner.place(bench.plan.stage("curate"), bench.plan).endswith("fits gpu-16")


def test_an_execution_goes_by_its_pod_and_runs_when_the_container_does(bench, hands):
    bench.start()
    pod = hands.pod(stage="train")
    hands.begin(pod)

    (execution,) = bench.until(lambda seen: seen[0].state is State.RUNNING)

    assert execution.uid == pod["metadata"]["uid"]


@pytest.mark.parametrize("code", [0, 1, 13, 30, 137, 143])
def test_an_exit_code_arrives_and_the_job_makes_no_other_pod(bench, hands, code):
    bench.start()
    pod = hands.pod(stage="train")
    hands.begin(pod)
    hands.end(pod, code, message="said at last")

    before = bench.until(lambda seen: all(e.ended for e in seen))
    job = bench.jobs()[0]
    hands.until(lambda: hands.job(job)["status"].get("conditions"), "an end of the Job")
    after = bench.until(lambda seen: all(e.ended for e in seen))

    assert [e.exit_code for e in before] == [code]
    assert before == after


def test_a_pod_that_kept_a_checkpoint_is_followed_inside_its_job(bench, hands):
    bench.start()
    first = hands.pod(stage="train")
    hands.begin(first)
    hands.end(first, 31)

    seen = bench.until(lambda seen: len(seen) == 2)
    second = hands.pod(stage="train")
    later = bench.until(lambda seen: seen[-1].uid == second["metadata"]["uid"])

    assert [(e.ended, e.attempt) for e in seen] == [(True, 1), (False, 1)]
    assert later[0].exit_code == 31


def test_an_evicted_pod_is_disrupted_and_not_counted_and_followed_by_another(bench, hands, node):
    bench.start(Task(stage="curate"))
    pod = hands.pod(stage="curate")
    hands.until(lambda: hands.get("pod", pod["metadata"]["name"])["spec"].get("nodeName"), "a node")
    hands.begin(pod)

    hands.evict(pod)
    (leaving,) = bench.until(lambda seen: seen[0].reason == "Disrupted")
    hands.end(pod, 143)
    hands.remove(pod)

    assert (leaving.state, leaving.ended) == (State.RUNNING, False)
    assert hands.pod(stage="curate")["metadata"]["uid"] != pod["metadata"]["uid"]


def test_a_pod_deleted_by_hand_that_nobody_saw_end_is_an_end_of_its_attempt(bench, hands, node):
    bench.start(Task(stage="curate"))
    pod = hands.pod(stage="curate")
    hands.until(lambda: hands.get("pod", pod["metadata"]["name"])["spec"].get("nodeName"), "a node")
    hands.begin(pod)
    hands.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false")
    hands.end(pod, 143)
    hands.remove(pod)
    name = bench.jobs()[0]
    hands.until(lambda: hands.job(name)["status"].get("conditions"), "an end of the Job")

    (execution,) = bench.until(lambda seen: seen[0].ended)

    assert (execution.state, execution.exit_code) == (State.FAILED, None)


def test_shards_share_a_job_at_first_and_have_their_own_later(bench, hands):
    for shard in (0, 1):
        bench.start(Task(stage="curate-map", shard=shard))
    bench.start(Task(stage="curate-map", shard=1), attempt=2)

    seen = bench.until(lambda seen: len(seen) == 3)

    assert sorted((e.task.shard, e.attempt) for e in seen) == [(0, 1), (1, 1), (1, 2)]
    assert len(bench.jobs()) == 2


def test_a_shard_with_bad_data_leaves_the_others_alone(bench, hands):
    bench.start(MAP)
    pods = hands.until(lambda: len(found := hands.pods(stage="curate-map")) == 2 and found, "two pods")
    for pod in pods:
        hands.begin(pod)
    index = "batch.kubernetes.io/job-completion-index"
    hands.end(next(p for p in pods if p["metadata"]["labels"][index] == "1"), 11)
    job = bench.jobs()[0]
    hands.until(lambda: hands.job(job)["status"].get("failedIndexes") == "1", "a failed index")

    seen = bench.seen()

    assert [(e.task.shard, e.state, e.exit_code) for e in seen] == [(0, State.RUNNING, None), (1, State.FAILED, 11)]


def test_stopping_tells_the_pods_to_end_and_waits_for_them(bench, hands, node):
    bench.start(Task(stage="curate"))
    pod = hands.pod(stage="curate")
    hands.until(lambda: hands.get("pod", pod["metadata"]["name"])["spec"].get("nodeName"), "a node")
    hands.begin(pod)
    bench.seen()

    bench.runner.stop(bench.plan.run, Task(stage="curate"), 1)
    told = hands.until(lambda: hands.get("pod", pod["metadata"]["name"])["metadata"].get("deletionTimestamp"), "word")
    (leaving,) = bench.seen()
    hands.end(pod, 31)
    hands.remove(pod)

    assert told
    assert not leaving.ended
    hands.until(lambda: bench.seen() == [] and bench.jobs() == [], "nothing")


def test_killing_leaves_a_pod_no_time(bench, hands, node):
    bench.start(Task(stage="curate"))
    pod = hands.pod(stage="curate")
    hands.until(lambda: hands.get("pod", pod["metadata"]["name"])["spec"].get("nodeName"), "a node")
    hands.begin(pod)
    bench.seen()

    bench.runner.stop(bench.plan.run, Task(stage="curate"), 1, kill=True)

    seconds = hands.until(
        lambda: hands.get("pod", pod["metadata"]["name"])["metadata"].get("deletionGracePeriodSeconds"), "word"
    )
    assert seconds == 1
    hands.remove(pod)


def test_deleting_a_record_deletes_what_was_made_for_the_run(bench, hands):
    bench.start()
    bench.start(Task(stage="curate"))
    hands.pod(stage="curate")

    bench.runner.delete(bench.plan.run)
    bench.records.delete(bench.plan.run)

    staying = lambda: [p for p in hands.get("pods")["items"] if "deletionTimestamp" not in p["metadata"]]  # noqa: E731
    assert eventually(lambda: bench.jobs() == [] and staying() == [])


def deny_jobs(hands) -> str:
    """Let the cluster refuse Jobs of this namespace, as an admission policy does."""
    name = f"no-jobs-{hands.namespace}"
    rule = {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}
    mine = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": hands.namespace}}}
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule], **mine},
        "validations": [{"expression": "false", "message": "jobs need a cost centre"}],
    }
    api = "admissionregistration.k8s.io/v1"
    for kind, spec in (
        ("ValidatingAdmissionPolicy", policy),
        ("ValidatingAdmissionPolicyBinding", {"policyName": name, "validationActions": ["Deny"]}),
    ):
        document = {"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": spec}
        hands.plane.kubectl("create", "--filename=-", given=document)
    return name


def test_what_the_cluster_refuses_ends_the_attempt_with_its_words(bench, hands):
    name = deny_jobs(hands)
    probe = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"generateName": "probe-"}, "spec": PROBE}
    hands.until(lambda: _refused(hands, probe), "the policy to hold")

    bench.start()
    (execution,) = bench.seen()

    assert (execution.state, execution.reason) == (State.FAILED, "Refused")
    assert "jobs need a cost centre" in execution.message
    hands.plane.kubectl("delete", "validatingadmissionpolicybinding", name)


def _refused(hands, probe) -> bool:
    try:
        hands.kubectl("create", "--dry-run=server", "--filename=-", given=probe)
    except AssertionError as error:
        return "cost centre" in str(error)
    return False


def test_nothing_half_made_stays_where_a_job_is_refused(records, hands):
    bench = Bench(records, hands, plan_of(resources={"nodes": 2, "gpus": 1}))
    hands.kubectl("create", "quota", "none", "--hard=count/jobs.batch=0")
    hands.until(lambda: hands.get("resourcequota", "none").get("status", {}).get("hard"), "the quota to hold")

    with pytest.raises(QuotaExceeded, match=r"exceeded quota.*Wait until other work ends"):
        bench.start()

    assert hands.get("services")["items"] == []


def test_several_nodes_are_one_execution_and_find_node_0_by_a_service(records, hands, node):
    bench = Bench(records, hands, plan_of(resources={"nodes": 2, "gpus": 1, "gpu_memory": "16GB"}))
    bench.start()
    placed = lambda: [p for p in hands.pods(stage="train") if "nodeName" in p["spec"]]  # noqa: E731
    pods = hands.until(lambda: len(found := placed()) == 2 and found, "two pods")
    for pod in pods:
        hands.begin(pod)
    head = next(p for p in pods if p["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] == "0")
    other = next(p for p in pods if p is not head)

    (together,) = bench.until(lambda seen: seen[0].state is State.RUNNING)
    hands.end(other, 30, message="NCCL: no route")
    bench.until(lambda seen: seen[0].message.endswith("stopping the others"))
    hands.until(lambda: "deletionTimestamp" in hands.get("pod", head["metadata"]["name"])["metadata"], "word to node 0")
    hands.end(head, 31)
    (over,) = bench.until(lambda seen: seen[0].ended)

    assert together.uid == over.uid == head["metadata"]["uid"]
    assert (over.exit_code, over.message) == (30, "node 1: NCCL: no route")
    assert [s["metadata"]["name"] for s in hands.get("services")["items"]] == bench.jobs()


def test_a_run_of_the_same_name_waits_until_the_old_one_is_gone(bench, hands):
    bench.start()
    hands.kubectl("delete", "configmap", bench.plan.run, "--cascade=orphan")
    hands.until(lambda: not hands.job(bench.jobs()[0])["metadata"].get("ownerReferences"), "an orphan")
    bench.records.create(spec_of(bench.plan))

    with pytest.raises(InfrastructureError, match=r"of an earlier run .* is still being removed"):
        bench.another().start(StartRequest(bench.plan, TRAIN, 1, ""))


def test_who_may_not_make_jobs_leaves_them_to_others(bench, plane, hands, monkeypatch):
    hands.kubectl("create", "role", "reader", "--verb=get,list", "--resource=configmaps,jobs,pods,events")
    hands.kubectl("create", "rolebinding", "reader", "--role=reader", "--user=reader")
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig_of("reader")))
    theirs = KubernetesRunner(ConfigMapRecords(Cluster.connect(hands.namespace)), lambda: 0)

    theirs.start(StartRequest(bench.plan, TRAIN, 1, ""))

    assert bench.jobs() == []
    assert theirs.observe(bench.plan.run) == []


def test_lines_of_a_pod_that_cannot_be_reached_are_not_an_error_of_the_look(bench, hands):
    bench.start()
    pod = hands.pod(stage="train")
    hands.begin(pod)
    hands.end(pod, 13, message="out of memory")

    (execution,) = bench.until(lambda seen: seen[0].ended)

    assert (execution.log_tail, execution.message) == ((), "out of memory")
