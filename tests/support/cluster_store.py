"""An S3 server inside a test cluster, at its node's address, where pods reach it without cluster DNS.

Run as a program it serves one bucket until it is killed; `store_of` starts that inside and makes the Secret that pods
are given.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from daemons import Daemon, wait_until
from s3_server import ACCESS_KEY, SECRET_KEY, S3Server
from sandbox import NODE_IP

from control_plane import ControlPlane

_PORT, _BUCKET, _SECRET, _READY = 7070, "roads", "store-keys", "serves"
_KEYS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}


@contextlib.contextmanager
def store_of(plane: ControlPlane, namespace: str) -> Iterator[dict[str, Any]]:
    """Yield the chart's value `storage` for a store that pods of the namespace may use."""
    command = [sys.executable, str(Path(__file__)), NODE_IP, str(_PORT)]
    environ = _KEYS | {"PYTHONPATH": str(Path(__file__).parent), "HOME": str(plane.home)}
    server = Daemon(command, plane.home / "store.log", within=plane.within, environ=environ)
    server.start()
    try:
        wait_until(lambda: _READY in server.told(), "the store serves", told=server.told)
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": _SECRET, "namespace": namespace}}
        plane.create([secret | {"stringData": _KEYS}])
        yield {
            "uri": f"s3://{_BUCKET}/touge",
            "endpoint": f"http://{NODE_IP}:{_PORT}",
            "region": "us-east-1",
            "pathStyle": True,
            "jobsSecret": _SECRET,
            "controllerSecret": _SECRET,
        }
    finally:
        server.kill()


def _serve(host: str, port: int) -> None:
    server = S3Server(host, port)
    client = boto3.client("s3", endpoint_url=server.settings.endpoint, region_name=server.settings.region)
    client.create_bucket(Bucket=_BUCKET)
    sys.stdout.write(f"{_READY}\n")
    sys.stdout.flush()
    signal.pause()


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
