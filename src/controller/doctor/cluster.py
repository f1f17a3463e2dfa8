"""A namespace that the chart is installed in, as this command line sees it: it asks, and changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Any

from controller.doctor.finding import Finding
from controller.doctor.rights import rights
from controller.manifests.podspec import stage_of
from controller.manifests.templates import Template, read_templates, template_name
from controller.placement.affinity import Placement
from controller.placement.gpu_memory import METHOD_GB
from controller.runners.kubernetes.attendance import ready_controller
from controller.runners.kubernetes.client import NODES, Cluster, Object, Resource
from controller.runners.kubernetes.connection import Refused, Request, Unanswered, connect
from controller.runners.kubernetes.fitting import gigabytes
from controller.runners.kubernetes.records import ConfigMapRecords
from controller.runners.kubernetes.refusals import NotAllowed
from controller.settings import Settings
from touge.contract.errors import ObjectNotFound, TougeError
from touge.contract.plan import STAGE_NAMES
from touge.storage.sources import code_digests

_SKEW_S = 60
_KUEUE, _QUEUE = "kueue.x-k8s.io", "kueue.x-k8s.io/queue-name"
_CHART = "helm.sh/chart"
_REINSTALL = "install the chart of this version, or use the command line of the chart's"
_EXPECTED = frozenset(template_name(stage, method) for stage in STAGE_NAMES for method in METHOD_GB)


def cluster(settings: Settings, now_us: Callable[[], int]) -> list[Finding]:
    """Return what was found; the first thing that no answer comes to ends it."""
    try:
        namespace = Cluster.connect(settings.namespace, settings.context)
        where = f"{namespace.server}, namespace {namespace.namespace}"
        clock = _clock(settings, now_us)
        operator = ready_controller(namespace, settings.release)
        found = [Finding("API server", ok=True, found=where), clock, *rights(namespace, operator=operator)]
        return [*found, _controller(operator), *_templates(namespace, settings.release)]
    except TougeError as error:
        return [Finding("API server", ok=False, found=str(error), advice="mend this, then run doctor again")]


def skew(date: str, now_us: int) -> Finding:
    """Return how far this clock is from the API server's.

    Args:
        date: The answer's Date header, whole seconds (RFC 9110).
        now_us: This machine's clock, unix microseconds.
    """
    seconds = abs(now_us / 1e6 - parsedate_to_datetime(date).timestamp())
    found = f"{seconds:.0f} s between here and the API server"
    return Finding(
        "clock, API server", seconds < _SKEW_S, found, "set this machine's clock (NTP): tokens and waits depend on it"
    )


def nodes(found: Sequence[Object], templates: Mapping[str, Template]) -> list[Finding]:
    """Return which cards there are, and GPU nodes whose labels do not tell their memory.

    Args:
        found: The cluster's nodes.
        templates: The chart's, by name; each says which labels the platform uses.
    """
    placement = next((t.placement for name, t in templates.items() if name.startswith("train-")), Placement())
    resource = placement.resource
    with_gpus = [node for node in found if int(node.get("status", {}).get("allocatable", {}).get(resource, 0))]
    told = {node["metadata"]["name"]: gigabytes(node, placement) for node in with_gpus}
    silent = [name for name, size in told.items() if size is None]
    cards = Counter(size for size in told.values() if size)
    words = ", ".join(f"{count} with {size} GB" for size, count in sorted(cards.items())) or "none now"
    hint = "" if cards else "fine where an autoscaler makes them; `plan` says which each stage needs"
    labels = f"no label tells the GPU memory of {', '.join(silent)}"
    advice = "install GPU feature discovery there, or name the label that tells it in the chart's placement.labels"
    return [
        Finding("GPU nodes", ok=True, found=words, hint=hint),
        Finding("labels of GPU nodes", not silent, labels if silent else "each tells its memory", advice),
    ]


def images(found: Sequence[Object], templates: Mapping[str, Template]) -> Finding:
    """Return which of the stages' images some node holds already; a hint, for a node names its largest 50 only."""
    held = {name for node in found for image in node.get("status", {}).get("images") or () for name in image["names"]}
    wanted = sorted({str(stage_of(template.pod["spec"])["image"]) for template in templates.values()})
    missing = [image for image in wanted if not any(_same(image, name) for name in held)]
    hint = f"first pulled when needed: {', '.join(missing)}" if missing else ""
    return Finding("images", ok=True, found=f"{len(wanted) - len(missing)} of {len(wanted)} on some node", hint=hint)


def code(templates: Mapping[str, Template], digests: Mapping[str, str]) -> Finding:
    """Return whether the images' code is the code that plans are made for here.

    Args:
        templates: The chart's, by name.
        digests: This installation's code digest, by stage.
    """
    told = {name: template.code for name, template in templates.items()}
    other = sorted(name for name, digest in told.items() if digest and digest != digests[name.partition("-")[0]])
    silent = sorted(name for name, digest in told.items() if not digest)
    found = f"other than here in {', '.join(other)}" if other else "as here" if not silent else "not told by the chart"
    hint = f"set images.*.codeDigest to check {', '.join(silent)} before a stage starts" if silent else ""
    return Finding("code of the images", not other, found, "a stage would refuse the plan: " + _REINSTALL, hint)


def _clock(settings: Settings, now_us: Callable[[], int]) -> Finding:
    try:
        answer = connect(settings.namespace, settings.context).send(Request("GET", "/version"))
    except Refused:
        return Finding("clock, API server", ok=True, found="the API server does not tell its time to us")
    except Unanswered as error:
        raise TougeError(f"the API server does not answer: {error}") from error
    answer.close()
    return skew(answer.headers["Date"], now_us())


def _controller(operator: str) -> Finding:
    hint = "" if operator else "none is ready: `submit` stays with its run; controller.enabled=true installs one"
    return Finding("controller", ok=True, found=operator or "none", hint=hint)


def _templates(namespace: Cluster, release: str | None) -> list[Finding]:
    documents = ConfigMapRecords(namespace, release).templates()
    try:
        templates = read_templates(documents)
    except TougeError as error:
        return [Finding("Job templates", ok=False, found=str(error), advice=_REINSTALL)]
    missing = sorted(_EXPECTED - templates.keys())
    found = f"missing: {', '.join(missing)}" if missing else ", ".join(sorted(templates))
    advice = f"install the chart in namespace {namespace.namespace}, or give another (TOUGE_NAMESPACE)"
    first = Finding("Job templates", not missing, found, advice)
    if not templates:
        return [first]
    return [first, _chart(documents), code(templates, code_digests()), *_queues(namespace, templates),
            *_nodes(namespace, templates)]  # fmt: skip


def _chart(documents: Iterable[Object]) -> Finding:
    ours = f"touge-{version('touge')}"
    charts = sorted({(item["metadata"].get("labels") or {}).get(_CHART, "unnamed") for item in documents})
    return Finding("chart", charts == [ours], f"{', '.join(charts)}; this command line is {ours}", _REINSTALL)


def _nodes(namespace: Cluster, templates: Mapping[str, Template]) -> list[Finding]:
    try:
        found = namespace.list(NODES).items
    except NotAllowed:
        return []
    return [*nodes(found, templates), images(found, templates)]


def _queues(namespace: Cluster, templates: Mapping[str, Template]) -> list[Finding]:
    wanted = sorted({queue for template in templates.values() if (queue := template.labels.get(_QUEUE))})
    return [_queue(namespace, queue) for queue in wanted]


def _queue(namespace: Cluster, name: str) -> Finding:
    served = namespace.serves(_KUEUE)
    if served is None:
        advice = "install Kueue, or empty jobs.queue in the chart's values: nobody else admits the Jobs in turn"
        return Finding(f"queue {name}", ok=False, found="this cluster has no Kueue", advice=advice)
    try:
        queue = namespace.get(Resource(f"{_KUEUE}/{served}", "localqueues"), name)
    except NotAllowed:
        hint = "the chart's role submitter lets it be read once the chart's values name it"
        return Finding(f"queue {name}", ok=True, found="cannot be read", hint=hint)
    except ObjectNotFound:
        advice = "make the LocalQueue, or name another in the chart's jobs.queue: Jobs would wait for ever"
        return Finding(f"queue {name}", ok=False, found="is not there", advice=advice)
    return _admission(name, queue)


def _admission(name: str, queue: Mapping[str, Any]) -> Finding:
    status = queue.get("status", {})
    active = next((c for c in status.get("conditions") or () if c["type"] == "Active"), {"status": "True"})
    waiting = f"{status.get('pendingWorkloads', 0)} waiting, {status.get('admittedWorkloads', 0)} admitted"
    stopped = f"inactive: {active.get('message', active.get('reason', ''))}"
    ok = active["status"] != "False"
    return Finding(f"queue {name}", ok, waiting if ok else stopped, "ask the platform team why its queue is stopped")


def _same(image: str, name: str) -> bool:
    """Return whether a node's name for an image is this one; nodes spell the registry out."""
    return name == image or name.endswith(f"/{image}")
