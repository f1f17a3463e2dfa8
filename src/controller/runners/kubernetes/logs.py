"""Log lines of a run's pods, each once, in order of their start, across restarts of pods and connections.

Reads what is new from every pod that has begun, again and again: a pod that is replaced, an API server that hangs up
and a container that has not started yet are then nothing special.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from controller.manifests.job import SHARD, STAGE_LABEL
from controller.manifests.podspec import STAGE
from controller.runners.kubernetes import labels
from controller.runners.kubernetes.client import PODS, Cluster, Object
from controller.runners.kubernetes.pods import INDEX, begun, over
from controller.runners.kubernetes.refusals import Rejected
from touge.contract.errors import InfrastructureError


@dataclass(slots=True)
class _Place:
    """How far a pod's log was told: the time of the last line, how many lines have it, and whether that was all."""

    time: str = ""
    lines: int = 0
    finished: bool = False


def follow_logs(
    cluster: Cluster, run: str, stage: str | None, follow: Callable[[], bool], *, pause: Callable[[], None]
) -> Iterator[str]:
    """Yield the log lines of a run.

    Args:
        cluster: Where its pods are.
        run: Its id.
        stage: Only this stage.
        follow: Asked before each round; False makes it the last one.
        pause: Called between two rounds.
    """
    places: dict[str, _Place] = {}
    going_on = True
    while going_on:
        going_on = follow()
        for pod in _speakers(cluster, run, stage):
            place = places.setdefault(pod["metadata"]["uid"], _Place())
            if not place.finished:
                prefix = _prefix(pod, stage)
                yield from (f"{prefix}{line}" for line in _new_lines(cluster, pod, place, last=not going_on))
        if going_on:
            pause()


def _speakers(cluster: Cluster, run: str, stage: str | None) -> list[Object]:
    selector = labels.of_run(run) + (f",{STAGE_LABEL}={stage}" if stage else "")
    pods = [pod for pod in cluster.list(PODS, selector).items if begun(pod)]
    return sorted(pods, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]))


def _new_lines(cluster: Cluster, pod: Object, place: _Place, *, last: bool) -> Iterator[str]:
    """Yield the lines behind a place, and move it; `sinceTime` counts whole seconds, so some lines come again.

    Raises:
        InfrastructureError: If the log cannot be read and this is the `last` look at it.
    """
    ended = over(pod)
    skip = (place.time, place.lines)
    again = 0
    try:
        for text in cluster.log(pod["metadata"]["name"], STAGE, since=place.time, tries=2):
            time, _, line = text.partition(" ")
            again += time == skip[0]
            if time < skip[0] or (time == skip[0] and again <= skip[1]):
                continue
            place.lines = place.lines + 1 if time == place.time else 1
            place.time = time
            yield line
    except InfrastructureError:
        if last:
            raise
        return
    except Rejected:
        return
    place.finished = ended


def _prefix(pod: Object, stage: str | None) -> str:
    """Return who speaks, where more than one may."""
    found = pod["metadata"]["labels"]
    name, index = found[STAGE_LABEL], found.get(INDEX)
    if name.endswith("-map"):
        return f"{name}/{found.get(SHARD, index or 0)} | "
    if index is not None:
        return f"{name}, node {index} | "
    return "" if stage else f"{name} | "
