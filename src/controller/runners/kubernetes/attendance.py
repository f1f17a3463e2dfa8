"""Who sees runs through in a cluster: the chart's controller, or a command line that stays with one run.

A controller's pod that is ready has listed the runs with its own rights (`operate`, /readyz), which a Deployment that
is there does not prove; and to read pods is what everybody may who may submit. A command line marks the record of its
run from time to time; the mark tells until when it holds, so that who dies is forgotten.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from controller.runners.kubernetes import labels
from controller.runners.kubernetes.client import CONFIG_MAPS, PODS, Cluster
from touge.contract.errors import ObjectNotFound, TougeError

_CONTROLLER = "app.kubernetes.io/name=touge,app.kubernetes.io/component=controller"
#: A mark is renewed this often, and holds through a minute or two without the API server.
_BEAT_S, _HOLDS_S = 60.0, 180.0


@dataclass(frozen=True, slots=True)
class ClusterAttendance:
    """Attendance in one namespace.

    Args:
        cluster: Where the controller's pods and the records are.
        release: The chart's release; None: any.
        clock: Unix time in microseconds.
    """

    cluster: Cluster
    release: str | None
    clock: Callable[[], int]

    @contextlib.contextmanager
    def attending(self, run: str | None = None) -> Iterator[None]:
        """Mark the run's record for as long as it lasts; a controller of all runs is seen as a pod."""
        if run is None:
            yield
            return
        over = threading.Event()
        heart = threading.Thread(target=self._beat, args=(run, over), name="heartbeat", daemon=True)
        heart.start()
        try:
            yield
        finally:
            over.set()
            heart.join(_BEAT_S)

    def attended(self, run: str) -> bool:
        """Return whether a controller in the cluster is ready, or a command line stays with the run."""
        return bool(self.operator()) or self._marked(run)

    def operator(self) -> str:
        """Return the name of a controller pod that is ready; empty where there is none."""
        return ready_controller(self.cluster, self.release)

    def _beat(self, run: str, over: threading.Event) -> None:
        """Renew the mark until it is over, then take it away; where the server does not answer, it fades."""
        mark = ""
        while not over.is_set():
            mark = str(self.clock() + int(_HOLDS_S * 1e6))
            with contextlib.suppress(TougeError):
                self._annotate(run, {labels.ATTENDED: mark})
            over.wait(_BEAT_S)
        with contextlib.suppress(TougeError):
            metadata = self._metadata(run)
            if metadata.get("annotations", {}).get(labels.ATTENDED) == mark:  # and not another's, who is still there
                self._annotate(run, {labels.ATTENDED: None}, resourceVersion=metadata["resourceVersion"])

    def _marked(self, run: str) -> bool:
        try:
            until = self._metadata(run).get("annotations", {}).get(labels.ATTENDED, "0")
        except ObjectNotFound:
            return False
        return int(until) > self.clock()

    def _metadata(self, run: str) -> Mapping[str, Any]:
        metadata: Mapping[str, Any] = self.cluster.get(CONFIG_MAPS, run)["metadata"]
        return metadata

    def _annotate(self, run: str, annotations: Mapping[str, str | None], **more: str) -> None:
        self.cluster.patch(CONFIG_MAPS, run, {"metadata": {"annotations": annotations, **more}})


def ready_controller(cluster: Cluster, release: str | None) -> str:
    """Return which pod of the chart's controller is ready, in a few words; empty where there is none."""
    selector = _CONTROLLER + (f",app.kubernetes.io/instance={release}" if release else "")
    pods = cluster.list(PODS, selector).items
    ready = (pod["metadata"]["name"] for pod in pods if _ready(pod))
    return next((f"pod {name} in namespace {cluster.namespace}" for name in ready), "")


def _ready(pod: Mapping[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    ready = any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]
