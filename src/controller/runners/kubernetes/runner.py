"""The Kubernetes runner: each attempt a Job, made from the run record's own templates.

Effects only: what is sent is `manifests`', what is seen is `observe`'s. Names are deterministic, so any number of
controllers may do the same; nothing is kept here that a restart would miss.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import structlog

from controller.manifests.job import ATTEMPT, RUN, SHARD, STAGE_LABEL, Attempt, Owner, render
from controller.manifests.podspec import STAGE
from controller.manifests.templates import Template, template_name
from controller.placement.affinity import need_of
from controller.runners.kubernetes import labels
from controller.runners.kubernetes.client import JOBS, KINDS, NODES, PODS, Cluster, Object, Propagation
from controller.runners.kubernetes.fitting import Wanted, fitting, unmet
from controller.runners.kubernetes.jobs import Seen
from controller.runners.kubernetes.logs import follow_logs
from controller.runners.kubernetes.observe import Sight, observed
from controller.runners.kubernetes.records import ConfigMapRecords, Snapshot
from controller.runners.kubernetes.refusals import NotAllowed, QuotaExceeded, Rejected
from controller.runners.kubernetes.surroundings import events_about, workloads_of
from controller.runners.port import StartRequest
from controller.state import Execution, Reason, State, Task
from touge.contract.errors import AlreadyExists, InfrastructureError, SettingsError, TougeError
from touge.contract.plan import Plan, Stage

log = structlog.get_logger()

#: Last lines that are kept of an execution that failed.
LOG_TAIL = 40
#: Log tails that are kept so as not to ask again; a controller may stay for months.
_TAILS = 1000
_POLL_S = 1.0
#: A container that is killed at once gets this long; zero would make Kubernetes forget a pod that may still run.
_KILL_S = 1


@dataclass(frozen=True, slots=True)
class _Part:
    """What `stop` must know of a Job or a pod; whole, one takes some 50 kB for as long as its run goes on."""

    name: str
    uid: str
    stage: str | None
    attempt: str | None
    shard: str | None
    leaving: bool

    @classmethod
    def of(cls, item: Object) -> _Part:
        metadata = item["metadata"]
        found = metadata.get("labels") or {}
        return cls(
            name=metadata["name"],
            uid=metadata["uid"],
            stage=found.get(STAGE_LABEL),
            attempt=found.get(ATTEMPT),
            shard=found.get(SHARD),
            leaving="deletionTimestamp" in metadata,
        )

    def is_of(self, task: Task, attempt: int) -> bool:
        """Whether it belongs to an attempt of a task; a Job of several shards to that of each."""
        same = (self.stage, self.attempt) == (task.stage, str(attempt))
        return same and (self.shard is None or int(self.shard) == task.shard)


@dataclass(slots=True)
class _Round:
    """What was seen and done since the last look at a run; only spares questions."""

    jobs: tuple[_Part, ...] = ()
    pods: tuple[_Part, ...] = ()
    started: set[str] = field(default_factory=set)
    stopped: set[str] = field(default_factory=set)
    snapshot: Snapshot | None = None


class KubernetesRunner:
    """Executions as pods of Jobs in one namespace.

    Args:
        records: Run records, which own the Jobs and keep their templates.
        clock: Unix time in microseconds.
        poll_s: Seconds between two looks at logs that are followed.
    """

    #: How many executions of one run it takes at once: queues and quotas are the cluster's.
    parallel = 1_000_000

    def __init__(self, records: ConfigMapRecords, clock: Callable[[], int], *, poll_s: float = _POLL_S) -> None:
        self.records, self.clock, self.poll_s = records, clock, poll_s
        self._rounds: dict[str, _Round] = {}
        self._refused: dict[str, list[Execution]] = {}
        self._tails: dict[str, tuple[str, ...]] = {}

    @property
    def cluster(self) -> Cluster:
        """Where the Jobs are."""
        return self.records.cluster

    def place(self, stage: Stage, plan: Plan) -> str:
        """Say which kind of node a stage needs and, where nodes may be read, which of those here fit."""
        templates = self.records.templates_of(plan)
        name = template_name(stage.name, plan.recipe.train.method)
        *_, job = render(Attempt(plan, stage.name), templates, Owner(plan.run, ""))
        wanted = _wanted(job["spec"]["template"]["spec"], stage.name, plan, templates[name])
        need = wanted.need
        asked = f"{need.nodes} x {need.gpus} GPU of >= {need.gigabytes} GB" if need else "any node"
        return f"{asked}; {self._where(wanted)}"

    def start(self, request: StartRequest) -> None:
        """Create the objects of an attempt; what is there already stays, what the cluster refuses ends the attempt."""
        run, attempt = request.plan.run, _attempt(request)
        seen = self._rounds.setdefault(run, _Round())
        if attempt.job in seen.started:
            return
        try:
            snapshot = seen.snapshot = seen.snapshot or self.records.snapshot(run)
            self._create(render(attempt, snapshot.templates, snapshot.owner), snapshot.owner)
        except NotAllowed as error:
            log.warning("left to the controller in the cluster", run=run, job=attempt.job, why=str(error))
        except SettingsError as error:
            self._refused.setdefault(run, []).append(_refused(request, str(error), self.clock()))
        seen.started.add(attempt.job)

    def observe(self, run: str) -> list[Execution]:
        """Return every execution of the run that is there, and attempts that the cluster has just refused."""
        selector = labels.of_run(run)
        jobs, pods = self.cluster.list(JOBS, selector).items, self.cluster.list(PODS, selector).items
        sight = Sight(
            jobs=jobs,
            pods=pods,
            now_us=self.clock(),
            events=events_about(self.cluster, jobs, pods),
            workloads=workloads_of(self.cluster, jobs),
            unmet=_Explainer(self, run),
        )
        executions = [self._with_words(seen) for seen in observed(sight)]
        self._rounds.pop(run, None)
        if not all(execution.ended for execution in executions):
            self._rounds[run] = _Round(_parts(jobs), _parts(pods))
        return executions + self._refused.pop(run, [])

    def logs(self, run: str, stage: str | None, follow: Callable[[], bool]) -> Iterator[str]:
        """Yield log lines of a run's pods; waits for those that have not begun, goes on with those that follow."""
        return follow_logs(self.cluster, run, stage, follow, pause=lambda: time.sleep(self.poll_s))

    def stop(self, run: str, task: Task, attempt: int, *, kill: bool = False) -> None:
        """Delete the attempt's Job, and so its pods, which get SIGTERM and their grace period; or end them at once."""
        seen = self._rounds.get(run) or _Round(*self._seen(run))
        for job in seen.jobs:
            if job.is_of(task, attempt) and job.uid not in seen.stopped:
                self._delete_job(job, kill=kill)
                seen.stopped.add(job.uid)
        for pod in seen.pods:
            if pod.is_of(task, attempt) and pod.uid not in seen.stopped and kill:
                self.cluster.delete(PODS, pod.name, grace_s=_KILL_S)
                seen.stopped.add(pod.uid)

    def delete(self, run: str) -> None:
        """Delete the run's Jobs and end their pods at once; what else it has, or we may not, goes with its record."""
        jobs, pods = self._seen(run)
        with contextlib.suppress(NotAllowed):
            for job in jobs:
                self.cluster.delete(JOBS, job.name)
            for pod in pods:
                self.cluster.delete(PODS, pod.name, grace_s=_KILL_S)
        self._rounds.pop(run, None)

    def nodes(self) -> tuple[Object, ...] | None:
        """Return the cluster's nodes, or None where we may not read them."""
        try:
            return self.cluster.list(NODES).items
        except NotAllowed:
            return None

    def _seen(self, run: str) -> tuple[tuple[_Part, ...], tuple[_Part, ...]]:
        selector = labels.of_run(run)
        jobs, pods = (self.cluster.list(kind, selector, metadata=True).items for kind in (JOBS, PODS))
        return _parts(jobs), _parts(pods)

    def _where(self, wanted: Wanted) -> str:
        nodes = self.nodes()
        if nodes is None:
            return "which nodes there are cannot be read (rbac.readNodes)"
        fits = fitting(nodes, wanted)
        if not fits:
            return f"none now: {unmet(nodes, wanted)}"
        more = f" and {len(fits) - 3} more" if len(fits) > 3 else ""
        return f"fits {', '.join(fits[:3])}{more}"

    def _create(self, objects: Iterable[Object], owner: Owner) -> None:
        """Create objects in their order; if one is refused, those before it that are new are taken back."""
        made: list[Object] = []
        try:
            made.extend(item for item in objects if self._create_one(item, owner))
        except (SettingsError, QuotaExceeded):
            for item in reversed(made):
                with contextlib.suppress(TougeError):
                    self.cluster.delete(KINDS[item["kind"]], item["metadata"]["name"])
            raise

    def _create_one(self, item: Object, owner: Owner) -> bool:
        """Return whether the object is new; one that is there must be the same attempt's.

        Raises:
            InfrastructureError: If it belongs to a run of the same name that is still being removed.
            Rejected: If it is somebody else's.
        """
        resource, name = KINDS[item["kind"]], item["metadata"]["name"]
        namespaced = item | {"metadata": item["metadata"] | {"namespace": self.cluster.namespace}}
        try:
            self.cluster.create(resource, namespaced)
        except AlreadyExists:
            there = self.cluster.get(resource, name)["metadata"]
        else:
            return True
        if any(reference.get("uid") == owner.uid for reference in there.get("ownerReferences") or ()):
            return False
        if (there.get("labels") or {}).get(RUN) == owner.name:
            raise InfrastructureError(f"{item['kind']} {name} of an earlier run {owner.name} is still being removed")
        raise Rejected(f"{item['kind']} {name} is there and not of run {owner.name}. Delete or rename it")

    def _delete_job(self, job: _Part, *, kill: bool) -> None:
        if not job.leaving or kill:
            propagation: Propagation = "Background" if kill else "Foreground"
            self.cluster.delete(JOBS, job.name, propagation=propagation, uid=job.uid)

    def _with_words(self, seen: Seen) -> Execution:
        """Return the execution with the last lines of its log, if it failed or is about to vanish."""
        execution, pod = seen.execution, seen.pod
        vanishing = pod is not None and "deletionTimestamp" in pod["metadata"] and execution.started_us is not None
        if pod is None or execution.state is State.SUCCEEDED or not (execution.ended or vanishing):
            return execution
        tail = self._tail(pod, ended=execution.ended)
        return execution.model_copy(update={"log_tail": tail, "message": execution.message or "".join(tail[-1:])})

    def _tail(self, pod: Object, *, ended: bool) -> tuple[str, ...]:
        key = f"{pod['metadata']['uid']}{'' if ended else ' ending'}"
        if key not in self._tails:
            try:
                lines = list(self.cluster.log(pod["metadata"]["name"], STAGE, tail=LOG_TAIL, tries=2))
            except TougeError:
                return ()
            self._tails[key] = tuple(line.partition(" ")[2] for line in lines)
            if len(self._tails) > _TAILS:
                self._tails.pop(next(iter(self._tails)), None)
        return self._tails[key]


class _Explainer:
    """Tells why no node fits a pod; asks the cluster once, and only where a pod has no node."""

    def __init__(self, runner: KubernetesRunner, run: str) -> None:
        self._runner, self._run = runner, run
        self._nodes: tuple[Object, ...] | None = None
        self._snapshot: Snapshot | None = None

    def __call__(self, pod: Object) -> str:
        if self._snapshot is None:
            self._snapshot, self._nodes = self._runner.records.snapshot(self._run), self._runner.nodes()
        plan, stage = self._snapshot.plan, pod["metadata"]["labels"][STAGE_LABEL]
        template = self._snapshot.templates[template_name(stage, plan.recipe.train.method)]
        wanted = _wanted(pod["spec"], stage, plan, template)
        if self._nodes is not None:
            return unmet(self._nodes, wanted)
        unread = "which nodes there are cannot be read (rbac.readNodes)"
        return f"needs a GPU with >= {wanted.need.gigabytes} GB; {unread}" if wanted.need else unread


def _wanted(pod: Object, stage: str, plan: Plan, template: Template) -> Wanted:
    return Wanted(pod, need_of(stage, plan.recipe, template.placement), template.placement)


def _attempt(request: StartRequest) -> Attempt:
    """Return the attempt that a task belongs to: at first a stage's shards share a Job, later each has its own."""
    stage = request.plan.stage(request.task.stage)
    alone = stage.mapped and request.attempt > 1
    return Attempt(request.plan, stage.name, request.attempt, request.task.shard if alone else None)


def _refused(request: StartRequest, message: str, now_us: int) -> Execution:
    return Execution(
        task=request.task,
        attempt=request.attempt,
        uid="refused",
        state=State.FAILED,
        reason=Reason.REFUSED,
        message=message,
        ended_us=now_us,
        placeholder=True,
    )


def _parts(items: Iterable[Object]) -> tuple[_Part, ...]:
    return tuple(_Part.of(item) for item in items)
