"""Container images of one layer, made of busybox: what a real node runs where no registry is."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

#: A shell and its tools.
SHELL = "docker.io/touge/shell:1"
#: What holds a pod's namespaces: it waits, and ends at a signal.
PAUSE = "docker.io/touge/pause:1"
_WAIT = ["/bin/sh", "-c", "trap 'exit 0' TERM INT; while :; do sleep 86400 & wait $!; done"]
_FOLDERS = ("bin", "etc", "tmp", "proc", "sys", "dev", "run", "var")
_FILES = {"etc/passwd": "root:x:0:0::/:/bin/sh\nstage:x:10001:10001::/tmp:/bin/sh\n", "etc/group": "stage:x:10001:\n"}


def small_images(folder: Path) -> list[Path]:
    """Write the archives of both images, as `ctr images import` reads them."""
    layer = _layer(Path(shutil.which("busybox") or "/bin/busybox"))
    made = {SHELL: ["/bin/sh", "-c"], PAUSE: _WAIT}
    return [_archive(folder, name, layer, entrypoint) for name, entrypoint in made.items()]


def _archive(folder: Path, name: str, layer: bytes, entrypoint: Sequence[str]) -> Path:
    digest = hashlib.sha256(layer).hexdigest()
    config = json.dumps({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": entrypoint, "Env": ["PATH=/bin"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }).encode()  # fmt: skip
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]
    path = folder / f"{name.rpartition('/')[2].replace(':', '-')}.tar"
    with tarfile.open(path, "w") as archive:
        for file, content in ((config_name, config), ("layer.tar", layer), ("manifest.json", json.dumps(manifest))):
            _add(archive, file, content.encode() if isinstance(content, str) else content)
    return path


def _layer(busybox: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        for folder in _FOLDERS:
            _add(layer, folder, type=tarfile.DIRTYPE, mode=0o1777 if folder == "tmp" else 0o755)
        for file, content in _FILES.items():
            _add(layer, file, content.encode())
        _add(layer, "bin/busybox", busybox.read_bytes(), mode=0o755)
        for tool in ("sh", "sleep", "cat", "echo", "id", "touch", "kill", "dd", "tail", "wget", "date", "ls", "head"):
            _add(layer, f"bin/{tool}", type=tarfile.SYMTYPE, linkname="busybox")
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes = b"", *, mode: int = 0o644, **more: Any) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    for key, value in more.items():
        setattr(entry, key, value)
    archive.addfile(entry, io.BytesIO(content))
