"""What runs that are over must not have left in a cluster and its store."""

from __future__ import annotations

from pathlib import Path

from whole_run import half_written

from control_plane import ControlPlane


def leftovers(plane: ControlPlane, namespace: str, store: Path) -> list[str]:
    """Return artifacts that are half there, pods at work, and Jobs of runs that nobody knows.

    Args:
        plane: The cluster.
        namespace: Of the runs, all of which are over.
        store: The folder that its server keeps the store in.
    """
    here = ("--namespace", namespace)
    pods = plane.get("pods", *here, "--selector=touge/run")["items"]
    known = {item["metadata"]["name"] for item in plane.get("configmaps", *here, "--selector=touge/record")["items"]}
    jobs = plane.get("jobs", *here, "--selector=touge/run")["items"]
    return [
        *half_written(store),
        *(f"pod {pod['metadata']['name']}" for pod in pods if pod["status"]["phase"] in {"Pending", "Running"}),
        *(f"job {job['metadata']['name']}" for job in jobs if job["metadata"]["labels"]["touge/run"] not in known),
    ]
