"""Whatever pods, API server, controllers and nodes do, a run ends, and its files stay whole.

The whole controller (records, runner, reconcile) against a model of Kubernetes: pods end in every way, calls fail
before or after their effect, a second controller works in the middle of the first one's round, and controllers forget.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from job_templates import NAMES, cronjob
from memory_store import MemoryStore
from model_cluster import ModelCluster, with_templates
from run_builders import make_recipe, passed_report, plan_of, spec_of

from controller.changes import request_cancel, request_retry
from controller.facts import committed_tasks
from controller.follow import Desk, tick
from controller.reconcile import needed_stages, stage_committed, tasks_of
from controller.retries import Policy
from controller.runners.kubernetes.pods import INDEX, index_of, over
from controller.runners.kubernetes.records import ConfigMapRecords
from controller.runners.kubernetes.runner import KubernetesRunner
from controller.state import State, Task
from touge.contract.artifacts import checkpoint_prefix, execution_id
from touge.contract.errors import InfrastructureError, Interrupted
from touge.storage.execution import Execution, committed

PLAN = plan_of(
    make_recipe(
        curate={"drives": [{"format": "jsonl", "uri": "file:///d"}], "shards": 2},
        evaluate={"shards": 2},
        resources={"nodes": 2, "gpus": 1},
    )
)
REFS = {task: task.ref(stage) for stage in PLAN.stages for task in tasks_of(stage)}
POLICY = Policy(retries=4, stalls=4, backoff_s=1, backoff_cap_s=4, replace_lost_s=600)
ENDS = (0, 0, 0, 0, "interrupted", "interrupted", "progress", 30, 134, 137, 143, 11, 13, "oom")
LEAVES = ("interrupted", "progress", 137, 143, 0)
FAULTS = st.dictionaries(st.integers(1, 12), st.sampled_from(["before", "after", "other"]), max_size=3)


class Flaky:
    """The cluster as one controller reaches it: some calls fail, and others come in between."""

    def __init__(self, cluster: ModelCluster) -> None:
        self._cluster = cluster
        self.faults: dict[int, str] = {}
        self.other: Callable[[], object] = lambda: None
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._cluster, name)
        if not callable(found):
            return found

        def call(*given: Any, **more: Any) -> Any:
            self.calls += 1
            fault = self.faults.pop(self.calls, None)
            if fault == "before":
                raise InfrastructureError("no answer")
            if fault == "other":
                self.other()
            answer = found(*given, **more)
            if fault == "after":
                raise InfrastructureError("the answer was lost")
            return answer

        return call


class Run(RuleBasedStateMachine):
    """One run, two controllers."""

    @initialize()
    def submit(self) -> None:
        self.cluster, self.store = with_templates(*(cronjob(name) for name in NAMES)), MemoryStore()
        self.records = ConfigMapRecords(self.cluster)
        self.records.create(spec_of(PLAN))
        self.controllers = [self.controller(), self.controller()]
        self.winners: dict[Task, bytes] = {}
        self.zombies: list[tuple[Task, Any]] = []
        self.once_lost: set[Task] = set()

    def controller(self) -> tuple[Flaky, Desk]:
        flaky = Flaky(self.cluster)
        records = ConfigMapRecords(flaky)
        clock = lambda: self.cluster.now_s * 1_000_000  # noqa: E731 - the model's
        return flaky, Desk(records, KubernetesRunner(records, clock), self.store, POLICY, clock)

    @property
    def record(self):
        return self.records.read(PLAN.run)

    # the controllers

    @rule(which=st.integers(0, 1), faults=FAULTS)
    def look(self, which, faults):
        flaky, _ = self.controllers[which]
        flaky.calls, flaky.faults = 0, dict(faults)
        flaky.other = lambda: self.tick(1 - which)
        self.tick(which)
        flaky.faults = {}

    def tick(self, which: int) -> None:
        was_over = self.record.over
        with contextlib.suppress(InfrastructureError):
            tick(self.controllers[which][1], PLAN.run)
        now = self.record
        if now.over and not was_over:
            done = not needed_stages(PLAN, committed_tasks(PLAN, self.store))
            assert (now.status.state is State.SUCCEEDED) == done

    @rule(which=st.integers(0, 1))
    def restart(self, which):
        self.controllers[which] = self.controller()

    @rule()
    def cancel(self):
        request_cancel(self.records, PLAN.run)

    @precondition(lambda self: self.record.over and self.record.status.state is not State.SUCCEEDED)
    @rule()
    def retry(self):
        request_retry(self.records, PLAN.run)

    # the cluster

    @rule(seconds=st.sampled_from([1, 5, 60, 700]))
    def wait(self, seconds):
        self.cluster.now_s += seconds

    @rule()
    def sync(self):
        self.cluster.sync()

    @rule()
    def begin_all(self):
        self.cluster.sync()
        for pod in list(self.cluster.pods):
            self.begin(pod)

    @rule(pick=st.integers(0, 5), how=st.sampled_from(ENDS))
    def end_one(self, pick, how):
        if running := self.running():
            self.end(running[pick % len(running)], how)

    @rule(pick=st.integers(0, 5))
    def evict(self, pick):
        if running := self.running():
            self.cluster.evict(running[pick % len(running)])

    @rule(pick=st.integers(0, 5))
    def delete_pod(self, pick):
        if pods := [pod for pod in self.cluster.pods if not over(pod)]:
            self.cluster._end_pod(pods[pick % len(pods)], 120)

    @rule(pick=st.integers(0, 5), how=st.sampled_from(LEAVES))
    def end_a_leaving_one(self, pick, how):
        leaving = [pod for pod in self.running() if "deletionTimestamp" in pod["metadata"]]
        if leaving:
            self.end(leaving[pick % len(leaving)], how)

    @rule(pick=st.integers(0, 5), how=st.sampled_from(ENDS))
    def end_one_and_look_before_the_job_controller_does(self, pick, how):
        self.end_one(pick, how)
        for which in (0, 1):
            self.cluster.now_s += 60
            self.tick(which)

    @rule(pick=st.integers(0, 5), how=st.sampled_from(LEAVES))
    def come_and_go_unseen(self, pick, how):
        self.begin_all()
        self.evict(pick)
        self.end_a_leaving_one(0, how)
        self.cluster.sync()

    @rule(pick=st.integers(0, 5))
    def be_deleted_unseen(self, pick):
        self.begin_all()
        self.delete_pod(pick)
        self.end_a_leaving_one(0, 143)
        self.cluster.sync()
        self.cluster.sync()

    @rule(pick=st.integers(0, 5))
    def lose_node(self, pick):
        if running := self.running():
            pod = running[pick % len(running)]
            self.cluster.evict(pod)
            self.cluster.lost.add(pod["metadata"]["uid"])
            self.once_lost.add(task_of(pod))

    @rule()
    def taint_lost_nodes(self):
        for pod in self.lost():
            self.zombies.append((task_of(pod), pod))
            self.cluster.forget(pod)

    @rule(pick=st.integers(0, 5))
    def commit_where_nobody_looks(self, pick):
        frozen = [*self.zombies, *((task_of(pod), pod) for pod in self.lost())]
        if frozen:
            self.work(frozen[pick % len(frozen)][1])

    # what must hold

    @invariant()
    def who_has_won_stays_the_winner_and_its_files_are_whole(self):
        for task, ref in REFS.items():
            mark = self.store.objects.get(ref.committed_key)
            assert self.winners.setdefault(task, mark) == mark if mark or task in self.winners else True
            if mark:
                artifact = committed(self.store, ref)
                name = artifact.manifest.execution
                assert artifact.read("result") == name.encode()

    @invariant()
    def nobody_works_beside_another_that_was_not_told_to_end(self):
        """But where a lost node was given up, which this policy allows: its Job may come back to life."""
        staying = [p for p in self.cluster.pods if not over(p) and "deletionTimestamp" not in p["metadata"]]
        alive = [(task_of(p), index_of(p)) for p in staying if task_of(p) not in self.once_lost]
        assert len(alive) == len(set(alive)), alive

    def teardown(self):
        """Let everything go well from now on: the run ends, and nothing of it is left at work."""
        if not hasattr(self, "cluster"):
            return
        for _ in range(400):
            self.cluster.now_s += 10
            for pod in self.lost():
                self.cluster.lost.discard(pod["metadata"]["uid"])
            self.begin_all()
            for pod in self.running():
                self.end(pod, "interrupted" if "deletionTimestamp" in pod["metadata"] else 0)
            self.tick(0)
            if self.record.over and not self.running() and not any(not over(p) for p in self.cluster.pods):
                break
        assert self.record.over, self.record.status
        assert not [pod for pod in self.cluster.pods if not over(pod)]

    # pods at work

    def running(self) -> list[Any]:
        lost = self.cluster.lost
        return [p for p in self.cluster.pods if p["status"]["phase"] == "Running" and p["metadata"]["uid"] not in lost]

    def lost(self) -> list[Any]:
        lost = self.cluster.lost
        return [p for p in self.cluster.pods if p["metadata"]["uid"] in lost and not over(p)]

    def begin(self, pod: Any) -> None:
        if pod["status"]["phase"] != "Pending":
            return
        stage = PLAN.stage(task_of(pod).stage)
        done = committed_tasks(PLAN, self.store)
        for other in PLAN.stages:
            if other.id in stage.inputs.values():
                assert stage_committed(other, done), f"{stage.name} began before {other.name} was committed"
        self.cluster.start(pod)

    def end(self, pod: Any, how: int | str) -> None:
        code = {"interrupted": 31, "progress": 31, "oom": 137}.get(how, how)
        if code == 0:
            code = self.work(pod)
        if how == "progress":
            ref = REFS[task_of(pod)]
            step = sum("/checkpoints/" in key for key in self.store.objects) + 1
            self.store.put(f"{ref.execution_prefix(name_of(pod))}{checkpoint_prefix(step)}manifest.json", b"")
        self.cluster.finish(pod, code, "OOMKilled" if how == "oom" else "")

    def work(self, pod: Any) -> int:
        """Do as a stage does: leave where it is committed, else write and commit; of several nodes the first."""
        task = task_of(pod)
        if committed(self.store, REFS[task]) or (task.stage == "train" and index_of(pod) > 0):
            return 0
        execution = Execution(self.store, REFS[task], name_of(pod), lambda: 0, pause=lambda _s: None)
        if f"{execution.prefix}manifest.json" in self.store.objects:
            return 31  # it was told once that it may not commit, and has ended
        execution.write("result", execution.name.encode())
        execution.write("report.json", passed_report(PLAN.run))
        try:
            cancelled = f"runs/{PLAN.run}/cancelled.json" in self.store.objects
            execution.commit({}, cancelled=lambda: cancelled)
        except Interrupted:
            return 31
        return 0


def task_of(pod: Any) -> Task:
    labels = pod["metadata"]["labels"]
    shard = int(labels.get("touge/shard", labels.get(INDEX, 0))) if labels["touge/stage"].endswith("-map") else 0
    return Task(stage=labels["touge/stage"], shard=shard)


def name_of(pod: Any) -> str:
    return execution_id(PLAN.run, int(pod["metadata"]["labels"]["touge/attempt"]), pod["metadata"]["uid"])


TestRun = Run.TestCase
TestRun.settings = settings(max_examples=80, stateful_step_count=60, deadline=None)
