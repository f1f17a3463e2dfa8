"""The whole controller against a real API server: a run from its record to its report, with the chart's own rights."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest
from helm import find, rendered, setting
from memory_store import MemoryStore
from run_builders import make_recipe, passed_report, plan_of, spec_of

from controller.facts import committed_tasks
from controller.follow import tick
from controller.runners.kubernetes.client import PODS, Cluster
from controller.runners.kubernetes.desk import kubernetes_desk
from controller.runners.kubernetes.watch import changes
from controller.runners.port import StartRequest
from controller.state import State, Task
from touge.contract.artifacts import execution_id
from touge.contract.errors import InfrastructureError
from touge.storage.execution import Execution

PLAN = plan_of(make_recipe(curate={"drives": [{"format": "jsonl", "uri": "file:///d"}], "shards": 2}))
INDEX = "batch.kubernetes.io/job-completion-index"
#: What the deeds below do not need: other parts of the chart, and other ways to place pods.
UNUSED = {("get", "pods/log"), ("delete", "pods")}


def rules(role: str) -> list:
    """Return what the chart's role may do."""
    return find(rendered(setting("rbac.readNodes", True)), "Role", f"touge-{role}")["rules"]


@pytest.fixture
def as_controller(plane, hands, records, monkeypatch):
    """Have the rights of the chart's role `runner` and no others."""
    api = "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": {"name": "runner"}, "rules": rules("runner")}
    hands.kubectl("create", "--filename=-", given=role)
    user = f"controller-{hands.namespace}"
    hands.kubectl("create", "rolebinding", "runner", "--role=runner", f"--user={user}")
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig_of(user)))
    return user


class Work:
    """A controller, a store, and pods that do what they are told at once."""

    def __init__(self, hands) -> None:
        self.hands, self.store = hands, MemoryStore()
        self.desk = self.another()

    def another(self):
        return kubernetes_desk(
            namespace=self.hands.namespace,
            context=None,
            release=None,
            store=self.store,
            clock=lambda: time.time_ns() // 1000,
        )

    def submit(self) -> None:
        self.desk.records.create(spec_of(PLAN))

    def do_the_work(self, code: int = 0) -> None:
        """Begin and end every pod that waits."""
        for pod in self.hands.get("pods", "--selector", "touge/run")["items"]:
            if pod["status"]["phase"] == "Pending":
                self.hands.begin(pod)
                if code == 0:
                    self._commit(pod)
                self.hands.end(pod, code, message="" if code == 0 else "no route to the store")

    def _commit(self, pod) -> None:
        labels = pod["metadata"]["labels"]
        stage = PLAN.stage(labels["touge/stage"])
        shard = int(labels.get("touge/shard", labels.get(INDEX, 0)))
        name = execution_id(PLAN.run, int(labels["touge/attempt"]), pod["metadata"]["uid"])
        execution = Execution(self.store, Task(stage=stage.name, shard=shard).ref(stage), name, lambda: 0)
        execution.write("report.json", passed_report(PLAN.run))
        execution.commit({})

    def see_through(self, seconds: float = 100):
        """Tick and work until the run is over."""
        end = time.monotonic() + seconds
        while not (record := tick(self.desk, PLAN.run)).over:
            assert time.monotonic() < end, record.status
            self.do_the_work()
        return record


def test_a_run_goes_from_its_record_to_its_report_with_the_charts_rights_and_uses_all_of_them(
    plane, hands, as_controller
):
    work = Work(hands)
    work.submit()
    stopping = threading.Event()
    feed = changes(work.desk.runner.cluster, stopping.is_set)
    assert next(feed) == PLAN.run
    tick(work.desk, PLAN.run)
    hands.until(lambda: len(hands.get("pods")["items"]) == 2, "two shards")

    record = work.see_through()
    another_start(work)
    work.desk.records.summaries()
    work.desk.runner.delete(PLAN.run)
    work.desk.records.delete(PLAN.run)
    stopping.set()

    assert record.status.state is State.SUCCEEDED
    assert [stage.state for stage in record.status.stages] == [State.SUCCEEDED] * 5
    used = asked_by(plane, as_controller)
    granted = {
        (verb, kind)
        for rule in rules("runner")
        for verb in rule["verbs"]
        for kind in rule["resources"]
        if kind != "services"
    }
    assert used - granted - {("list", "nodes")} == set()
    assert granted - used - UNUSED == set()


def another_start(work) -> None:
    """Ask for what is there already, as a second controller does."""
    work.another().runner.start(StartRequest(PLAN, Task(stage="train"), 1, ""))


def asked_by(plane, user) -> set[tuple[str, str]]:
    found = set()
    for entry in plane.audited():
        what = entry.get("objectRef") or {}
        if entry.get("user", {}).get("username") == user and "resource" in what:
            found.add((entry["verb"], "/".join(filter(None, (what["resource"], what.get("subresource"))))))
    return found


def test_a_failure_that_may_pass_is_tried_again_in_a_job_of_its_own(hands, records):
    work = Work(hands)
    work.submit()
    tick(work.desk, PLAN.run)
    hands.until(lambda: len(hands.get("pods")["items"]) == 2, "two shards")
    work.do_the_work(code=30)

    record = work.see_through()

    jobs = {item["metadata"]["name"] for item in hands.get("jobs")["items"]}
    assert record.status.state is State.SUCCEEDED
    assert {f"{PLAN.run}-curate-map-s{shard}-2" for shard in (0, 1)} <= jobs


def test_a_run_outlives_the_api_server_and_its_controller(plane, hands, records):
    work = Work(hands)
    work.submit()
    tick(work.desk, PLAN.run)
    hands.until(lambda: len(hands.get("pods")["items"]) == 2, "two shards")
    work.do_the_work()

    plane.kill_apiserver()
    cluster = Cluster(work.desk.runner.cluster._connection, sleep=lambda _s: None)
    with pytest.raises(InfrastructureError, match="does not answer"):
        cluster.list(PODS)
    plane.restart_apiserver()
    work.desk = work.another()
    record = work.see_through()

    assert record.status.state is State.SUCCEEDED
    assert all(stage.attempts == 1 for stage in record.status.stages)


def test_the_feed_goes_on_where_the_api_server_comes_back(plane, hands, records):
    work = Work(hands)
    work.submit()
    stopping = threading.Event()
    feed = changes(work.desk.runner.cluster, stopping.is_set)
    assert next(feed) == PLAN.run

    plane.kill_apiserver()
    plane.restart_apiserver()
    hands.kubectl("annotate", "configmap", PLAN.run, "changed=yes")
    found = next(feed)
    stopping.set()

    assert found == PLAN.run


def test_two_controllers_at_once_start_everything_once(hands, records):
    work = Work(hands)
    work.submit()
    desks = [work.another(), work.another()]
    over = threading.Event()

    def follow(desk) -> None:
        while not over.is_set():
            with contextlib.suppress(InfrastructureError):
                if tick(desk, PLAN.run).over:
                    over.set()

    threads = [threading.Thread(target=follow, args=(desk,)) for desk in desks]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 100
    while not over.wait(0.1) and time.monotonic() < deadline:
        work.do_the_work()
    over.set()
    for thread in threads:
        thread.join()

    record = work.desk.records.read(PLAN.run)
    assert record.status.state is State.SUCCEEDED
    assert len(hands.get("jobs")["items"]) == 5
    assert committed_tasks(PLAN, work.store) == {
        Task(stage=s.name, shard=n) for s in PLAN.stages for n in range(s.shards)
    }


def test_without_a_store_a_run_is_shown_as_others_have_recorded_it_and_left_to_them(hands, records):
    work = Work(hands)
    work.submit()
    tick(work.desk, PLAN.run)
    before = work.desk.records.read(PLAN.run)
    blind = kubernetes_desk(
        namespace=hands.namespace, context=None, release=None, store=None, clock=lambda: time.time_ns() // 1000
    )

    after = tick(blind, PLAN.run)

    assert after == before
    assert len(hands.get("jobs")["items"]) == 1
