"""An S3 server inside a test cluster, at its node's address, where pods reach it without cluster DNS.

versitygw over a folder, as in the chart's trial store: what it holds outlives it. Run as a program, the module uploads
a folder to the store that its environment names.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import binaries
from daemons import Daemon, wait_until
from sandbox import NODE_IP

from control_plane import ControlPlane
from touge.storage import open_store

ACCESS_KEY, SECRET_KEY = "AKIAINTHECLUSTER", "s3cret-of-the-cluster"
BUCKET = "roads"
_PORT, _SECRET = 7070, "store-keys"
_KEYS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}


class ClusterStore:
    """The server, and what those who use it are told.

    Attributes:
        values: The chart's value `storage`.
        environ: Of processes in the cluster's network.
        folder: Where its bucket's objects lie as files.
    """

    def __init__(self, plane: ControlPlane) -> None:
        self._plane, self.folder = plane, Path(tempfile.mkdtemp(prefix="store-", dir=plane.home)) / BUCKET
        self.folder.mkdir()
        endpoint = f"http://{NODE_IP}:{_PORT}"
        uri = f"s3://{BUCKET}/touge"
        self.values: Mapping[str, Any] = {
            "uri": uri,
            "endpoint": endpoint,
            "region": "us-east-1",
            "pathStyle": True,
            "jobsSecret": _SECRET,
            "controllerSecret": _SECRET,
        }
        self.environ: Mapping[str, str] = _KEYS | {
            "TOUGE_STORE": uri,
            "TOUGE_S3_ENDPOINT": endpoint,
            "TOUGE_S3_REGION": "us-east-1",
            "TOUGE_S3_PATH_STYLE": "true",
        }

    def start(self) -> None:
        """Serve, and wait until that is so; what was held is held still."""
        keys = {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
        command = [str(binaries.folder() / "versitygw"), "--port", f"{NODE_IP}:{_PORT}", "--region", "us-east-1"]
        command += ["posix", str(self.folder.parent)]
        log = self._plane.home / "store.log"
        self._server = Daemon(
            [*command, "posix", str(self.folder.parent)], log, within=self._plane.within, environ=keys
        )
        self._server.start()
        reach = ("bash", "-c", f"exec 3<>/dev/tcp/{NODE_IP}/{_PORT}")
        wait_until(lambda: self._plane.run(*reach).returncode == 0, "the store serves", told=self._server.told)

    def stop(self) -> None:
        """Kill the server with -9."""
        self._server.kill()

    def give(self, namespace: str) -> None:
        """Make the Secret with its keys, which `values` names."""
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": _SECRET, "namespace": namespace}}
        self._plane.create([secret | {"stringData": _KEYS}])

    def upload(self, folder: Path, prefix: str) -> str:
        """Put the files of a folder below a prefix of the bucket, and return their address."""
        uri = f"s3://{BUCKET}/{prefix}"
        done = self._plane.run(sys.executable, __file__, str(folder), uri, **self.environ)
        assert done.returncode == 0, done.stderr
        return uri


@contextlib.contextmanager
def store_of(plane: ControlPlane, namespace: str) -> Iterator[ClusterStore]:
    """Yield a store that pods of the namespace may use."""
    store = ClusterStore(plane)
    store.start()
    try:
        store.give(namespace)
        yield store
    finally:
        store.stop()


def _upload(folder: Path, uri: str) -> None:
    store = open_store(uri)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            store.put(path.relative_to(folder).as_posix(), path)


if __name__ == "__main__":
    _upload(Path(sys.argv[1]), sys.argv[2])
