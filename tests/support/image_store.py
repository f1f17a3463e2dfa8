"""The images of this checkout, built by the product's own builder into the tests' store; built again when they change.

An image is known by the content of everything that its build reads, so that a second run builds nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from base_image import base_image, buildah, buildah_command, cache_folder
from build_images import DOCKERFILES, ROOT, Build

#: Time of every file: the tests' images do not change with a commit that changes none of their files.
EPOCH = 1_700_000_000
#: What the builds read beside the Dockerfile; equal to .dockerignore.
READ = ("constraints.txt", "images/pins.py", "images/*.sh", "LICENSE", "pyproject.toml", "src/**/*")
#: How many versions of an image are kept, for checkouts that are tested side by side.
_KEPT = 3


def image_key(image: str) -> str:
    """Return the digest of what an image's build reads."""
    files = {path for pattern in READ for path in ROOT.glob(pattern) if _counts(path)}
    total = hashlib.sha256(f"{base_image()} {EPOCH}".encode())
    for path in sorted({ROOT / DOCKERFILES[image], *files}):
        total.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:16]


def stored_image(image: str) -> str:
    """Return the name under which the tests' store has an image of this checkout; it is built if it is not there."""
    key = image_key(image)
    with _alone(image):
        if _stored(image, key) not in _names():
            build(image, _stored(image, key))
        _forget_old(image, key)
    return _stored(image, key)


@contextmanager
def archived(image: str) -> Iterator[Path]:
    """Yield an image of this checkout as a docker-archive, under its full name; it is large, and removed at the end."""
    stored = stored_image(image)
    with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
        path = Path(folder, f"{image}.tar")
        (number, *_) = buildah("images", "--quiet", stored).split()  # by its name it would go under that, too
        buildah("push", number, f"docker-archive:{path}:{full_name(image)}")
        yield path


def full_name(image: str) -> str:
    """Return an image's name as Kubernetes completes the chart's."""
    return Build(()).name(image)


def build(image: str, name: str) -> None:
    """Build an image of this checkout under a name."""
    done = try_build(image, name)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]


def try_build(
    image: str, name: str, *more: str, base: str = "", folder: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Return how the build of an image went.

    Args:
        image: Which of the chart's.
        name: For the tests' store.
        more: Options of `buildah build`.
        base: To build on, where it is not the tests' own.
        folder: Root of the sources.
    """
    how = Build(buildah_command(), base or base_image(), certificates=os.environ.get("PIP_CERT", ""), epoch=EPOCH)
    command = [name if word == how.name(image) else word for word in how.command(image)]
    environ = os.environ | {"BUILDAH_ISOLATION": "chroot"}
    return subprocess.run(
        [*command[:-1], *more, "."], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )


@contextmanager
def _alone(image: str) -> Iterator[None]:
    """Let one process of this machine at a time build an image."""
    with (cache_folder() / f"{image}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _counts(path: Path) -> bool:
    inside = path.relative_to(ROOT).parts
    return path.is_file() and not any(part == "__pycache__" or part.startswith(".") for part in inside)


def _stored(image: str, key: str) -> str:
    return f"localhost/touge-tests/{image}:{key}"


def _names() -> list[str]:
    return buildah("images", "--format", "{{.Name}}:{{.Tag}}").splitlines()


def _forget_old(image: str, used: str) -> None:
    """Remove the versions of an image that were not asked for lately; files named after them say when they were."""
    marks = cache_folder() / "used" / image
    marks.mkdir(parents=True, exist_ok=True)
    (marks / used).touch()
    for mark in sorted(marks.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)[_KEPT:]:
        if (name := _stored(image, mark.name)) in _names():
            buildah("rmi", name)
        mark.unlink()
