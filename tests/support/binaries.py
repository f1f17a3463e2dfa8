"""The binaries of a Kubernetes cluster: built from pinned Go modules, kept by the hash of what pins them.

`python tests/support/binaries.py` builds what is missing (about 10 minutes on two cores the first time) and prints
the folder. Tests ask for `binary(name)`; they never build. Beside them lie the OpenAPI documents of `openapi`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import openapi

HOW = "`make test-cluster` builds them"
_TOOLS = Path(__file__).parents[1] / "cluster" / "tools"
#: In the order in which they are built: what most tests wait for comes first.
_ORDER = ("helm", "etcd", "kubernetes", "kubeconform", "kwok", "containerd", "versitygw")
_TAGS = {"containerd": "no_btrfs,no_devmapper,no_zfs,no_aufs"}
#: kubectl cannot parse the version of a server that was built without these.
_STAMPED = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")


def folder() -> Path:
    """Return where the binaries of these go.mod files lie, or would lie."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "touge" / "test-cluster" / _digest()[:16] / "bin"


def binary(name: str) -> Path | None:
    """Return the binary of a name, or None where it is not built."""
    path = folder() / name
    return path if path.is_file() else None


def document(version: str) -> Path:
    """Return where the OpenAPI document of a Kubernetes version lies, or would lie."""
    return folder().parent / f"openapi-{version}.json"


def missing(*names: str) -> list[str]:
    """Return which of these binaries, or of all, are not built."""
    return [name for name in names or sorted(_names()) if binary(name) is None]


def build() -> None:
    """Build what is missing; a build that was stopped goes on where it was.

    Raises:
        subprocess.CalledProcessError: a module could not be had or built; `go` said why.
    """
    target = folder()
    target.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(target.parent / "lock"):
        for tool in _ORDER:
            if missing(*_names_of(tool)):
                _install(tool, target)
        for version in openapi.pinned():
            if not document(version).is_file():
                openapi.download(version, document(version))


def _install(tool: str, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as fresh:
        environ = os.environ | {"GOBIN": fresh, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
        command = ["go", "install", "-trimpath", "-tags", _TAGS.get(tool, ""), "-ldflags", _ldflags(tool), "tool"]
        subprocess.run(command, cwd=_TOOLS / tool, env=environ, check=True)
        for path in Path(fresh).iterdir():
            path.replace(target / _renamed(path.name))


def _ldflags(tool: str) -> str:
    if tool != "kubernetes":
        return "-s -w"
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".")
    told = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s -w", *(f"-X {module}.{key}={value}" for module in _STAMPED for key, value in told.items())])


def kubernetes_version() -> str:
    """Return the version of the cluster, such as v1.36.3."""
    (version,) = re.findall(r"^\s+k8s\.io/kubernetes (v\S+)", _go_mod("kubernetes"), re.MULTILINE)
    return version


def _names() -> set[str]:
    return {name for tool in _ORDER for name in _names_of(tool)}


def _names_of(tool: str) -> list[str]:
    blocks = re.findall(r"^tool (?:\((.*?)^\)|(\S+))", _go_mod(tool), re.MULTILINE | re.DOTALL)
    paths = [path for block in blocks for path in " ".join(block).split()]
    return [_renamed(re.sub(r"/v\d+$", "", path).rpartition("/")[2]) for path in paths]


def _renamed(name: str) -> str:
    """The module of etcd calls its binary `server`."""
    return "etcd" if name == "server" else name


def _go_mod(tool: str) -> str:
    return (_TOOLS / tool / "go.mod").read_text("utf-8")


def _digest() -> str:
    """Return the hash of all that decides what is built."""
    decisive = "".join(f"{tool} {_ldflags(tool)} {_TAGS.get(tool, '')}\n{_go_mod(tool)}" for tool in sorted(_ORDER))
    return hashlib.sha256(decisive.encode()).hexdigest()


@contextlib.contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _main() -> int:
    if shutil.which("go") is None:
        sys.stderr.write("no `go` on PATH; the cluster's binaries are built with Go 1.26 or newer\n")
        return 1
    build()
    sys.stdout.write(f"{folder()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(_main())
