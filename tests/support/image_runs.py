"""A container of an image as a pod of the chart would have it: read-only root, no rights, the chart's writable folders.

runc runs it, without a network and without a container engine.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from base_image import buildah, cache_folder

#: What the chart mounts, of which nothing is shared with another container.
STAGE_FOLDERS = ("/scratch", "/cache", "/tmp", "/dev/shm")
CONTROLLER_FOLDERS = ("/tmp",)
USER = 10001


def handed(folder: Path) -> Path:
    """Give a folder and what is in it to the containers' user; return it."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, USER, USER)
    return folder


@contextmanager
def root_of(image: str) -> Iterator[Path]:
    """Yield the image's root filesystem, to be looked at."""
    container = buildah("from", image)
    try:
        yield Path(buildah("mount", container))
    finally:
        buildah("rm", container)


def config_of(image: str) -> dict[str, Any]:
    """Return what the image says about how it is run: Env, Entrypoint, User, Labels."""
    return json.loads(buildah("inspect", "--type", "image", image))["OCIv1"]["config"]


def layers_of(image: str) -> list[str]:
    """Return the digests of the image's layers."""
    return json.loads(buildah("inspect", "--type", "image", image))["OCIv1"]["rootfs"]["diff_ids"]


def ran(image: str, *arguments: str, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run the image to its end; `how` is that of `running`."""
    with running(image, *arguments, **how) as process:
        out, err = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@contextmanager
def running(
    image: str,
    *arguments: str,
    command: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    folders: Sequence[str] = STAGE_FOLDERS,
    mounts: Mapping[str, Path] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """Run the image; signals that the process is sent reach the container's first process.

    Args:
        image: Name in the tests' store.
        arguments: What follows its entry point.
        command: Instead of its entry point.
        environ: Beside the image's own variables.
        folders: Empty folders that may be written.
        mounts: Folders of this machine, by where they are to be; they may be written.
    """
    config = config_of(image)
    with root_of(image) as root, tempfile.TemporaryDirectory(dir=cache_folder()) as bundle:
        own = dict(entry.split("=", 1) for entry in config["Env"])
        process = {
            "user": dict(zip(("uid", "gid"), map(int, config["User"].split(":")), strict=True)),
            "args": [*(command or config["Entrypoint"]), *arguments],
            "env": [f"{name}={value}" for name, value in (own | dict(environ or {})).items()],
            "cwd": config.get("WorkingDir") or "/",
            "noNewPrivileges": True,
        }
        Path(bundle, "config.json").write_text(json.dumps(_bundle(root, process, folders, mounts or {})))
        start = ["runc", "run", "--bundle", bundle, f"touge-test-{uuid.uuid4().hex[:12]}"]
        yield subprocess.Popen(start, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _bundle(
    root: Path, process: Mapping[str, Any], folders: Sequence[str], mounts: Mapping[str, Path]
) -> dict[str, Any]:
    """Return a runtime configuration (OCI runtime specification 1.0)."""
    private = ["nosuid", "nodev", f"uid={USER}", f"gid={USER}", "mode=0770"]
    written = [folder for folder in folders if folder not in mounts]
    return {
        "ociVersion": "1.0.2",
        "process": process,
        "root": {"path": str(root), "readonly": True},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            *({"destination": at, "type": "tmpfs", "source": "tmpfs", "options": private} for at in written),
            *({"destination": at, "source": str(path), "options": ["rbind"]} for at, path in mounts.items()),
        ],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network")]},
    }
