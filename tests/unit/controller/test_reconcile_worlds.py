"""Reconcile against simulated worlds: whatever happens, its promises hold."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from run_builders import SECOND, ended, make_recipe, plan_of, running, spec_of

from controller.reconcile import World, needed_stages, reconcile, tasks_of
from controller.retries import Policy
from controller.state import Execution, RunSpec, RunStatus, Start, State, Stop, Task

POLICY = Policy(retries=2, stalls=1, backoff_s=1, backoff_cap_s=4, parallel=2)
PLAN = plan_of(
    make_recipe(curate={"drives": [{"format": "jsonl", "uri": "file:///d"}], "shards": 2}, evaluate={"shards": 2})
)
ENDS = (0, 0, 0, 0, 1, 11, 13, 30, 31, 134, 137, 143, None, "vanish", "progress")


@dataclass
class Cluster:
    """A runner and a store that do as they are told, and fail as the draw says."""

    spec: RunSpec = field(default_factory=lambda: spec_of(PLAN))
    status: RunStatus | None = None
    executions: dict[tuple[Task, int], Execution] = field(default_factory=dict)
    committed: set[Task] = field(default_factory=set)
    now: int = SECOND
    history: list[State] = field(default_factory=list)

    def tick(self) -> None:
        self.now += SECOND
        world = World(tuple(self.executions.values()), frozenset(self.committed))
        decision = reconcile(self.spec, self.status, world, self.now, POLICY)
        self.status = decision.status
        self.history.append(decision.status.state)
        for action in decision.actions:
            self.apply(action)

    def apply(self, action: Start | Stop) -> None:
        key = (action.task, action.attempt)
        if isinstance(action, Stop):
            self.end(key, 31)
            return
        stage = PLAN.stage(action.task.stage)
        for other in PLAN.stages:
            if other.id in stage.inputs.values():
                assert set(tasks_of(other)) <= self.committed, f"{action} before its input {other.name}"
        assert action.task not in self.committed, f"{action} though committed"
        self.executions.setdefault(
            key, running(action.task.stage, action.task.shard, action.attempt, started_us=self.now)
        )

    def active(self) -> list[tuple[Task, int]]:
        return [key for key, execution in self.executions.items() if not execution.ended]

    def end(self, key: tuple[Task, int], how: int | str | None) -> None:
        if key not in self.executions:
            return
        if how == "vanish":
            del self.executions[key]
            return
        checkpoint = max((e.checkpoint for e in self.executions.values()), default=0)
        code = 31 if how == "progress" else how
        checkpoint += how == "progress" and checkpoint < 5
        if code == 0:
            self.committed.add(key[0])
        self.executions[key] = ended(
            key[0].stage,
            code,
            key[0].shard,
            key[1],
            ended_us=self.now,
            checkpoint=checkpoint,
            started_us=self.executions[key].started_us,
        )


def play(cluster: Cluster, draws: list[tuple[int, int | str | None]]) -> None:
    """Tick; after each tick end one active execution as drawn; then let everything succeed or fail."""
    for pick, how in draws:
        cluster.tick()
        if active := cluster.active():
            cluster.end(active[pick % len(active)], how)
    for _ in range(200):
        cluster.tick()
        for key in cluster.active():
            cluster.end(key, 0)
        if cluster.status.state.terminal:
            return


draws = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(ENDS)), max_size=25)


@given(draws)
@settings(max_examples=150, deadline=None)
def test_every_run_ends_and_stays_ended(moves):
    cluster = Cluster()

    play(cluster, moves)
    final = cluster.status
    cluster.tick()

    assert final.state.terminal
    assert cluster.status == final


@given(draws)
@settings(max_examples=100, deadline=None)
def test_a_run_succeeds_exactly_when_its_report_is_committed(moves):
    cluster = Cluster()

    play(cluster, moves)

    done = not needed_stages(PLAN, frozenset(cluster.committed))
    assert (cluster.status.state is State.SUCCEEDED) == done


@given(draws)
@settings(max_examples=100, deadline=None)
def test_a_second_controller_changes_nothing_that_is_done(moves):
    cluster = Cluster()

    for pick, how in moves:
        world = World(tuple(cluster.executions.values()), frozenset(cluster.committed))
        other = reconcile(cluster.spec, cluster.status, world, cluster.now, POLICY)
        for action in other.actions:
            cluster.apply(action)
        before = len(cluster.executions)
        cluster.tick()
        assert len({task for task, _ in cluster.active()}) == len(cluster.active())
        assert before <= len(cluster.executions)
        if active := cluster.active():
            cluster.end(active[pick % len(active)], how)


@given(draws, st.integers(0, 10))
@settings(max_examples=100, deadline=None)
def test_a_cancelled_run_ends_cancelled_unless_it_was_done(moves, when):
    cluster = Cluster()

    for pick, how in moves[:when]:
        cluster.tick()
        if active := cluster.active():
            cluster.end(active[pick % len(active)], how)
    was_over = cluster.status and cluster.status.state.terminal
    cluster.spec = cluster.spec.model_copy(update={"cancel": True})
    for _ in range(3):
        cluster.tick()

    assert was_over or cluster.status.state in {State.CANCELLED, State.SUCCEEDED}
    assert not cluster.active()


@given(draws)
@settings(max_examples=100, deadline=None)
def test_never_more_executions_than_allowed(moves):
    cluster = Cluster()

    for pick, how in moves:
        cluster.tick()
        assert len(cluster.active()) <= POLICY.parallel
        if active := cluster.active():
            cluster.end(active[pick % len(active)], how)


@given(draws)
@settings(max_examples=100, deadline=None)
def test_a_retry_of_a_failed_run_runs_again_and_can_succeed(moves):
    cluster = Cluster()
    play(cluster, [*moves, (0, 13)])
    highest = max((e.attempt for e in cluster.status.executions), default=0)
    cluster.spec = cluster.spec.model_copy(update={"retry": 1, "first_attempt": highest + 1})

    play(cluster, [])

    assert cluster.status.state is State.SUCCEEDED
