"""A base image without a registry: Debian bookworm with its Python 3.11, by debootstrap, in a store of our own.

Cached by what it is made of, below `$XDG_CACHE_HOME/touge/images`. Needs root, `buildah` and `debootstrap`; where they
are missing, a test that asks for an image is skipped with a word on how to get them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

SUITE = "bookworm"
#: What a slim image of Debian with Python has.
PACKAGES = "python3,python3-venv,ca-certificates"
#: What slim images leave out: documentation and translations, and what apt kept from its own work.
_LEFT_OUT = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "var/cache/apt",
    "var/lib/apt/lists",
)
_WHY_SKIPPED = "no {} on PATH, or not root; `apt-get install buildah debootstrap runc` has them"


def cache_folder() -> Path:
    """Return where images are kept between runs of the tests."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home) / "touge" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def buildah(*arguments: str) -> str:
    """Run buildah on the tests' own store; returns what it printed."""
    done = subprocess.run([*buildah_command(), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"buildah {' '.join(arguments)}: {done.stderr[-4000:]}"
    return done.stdout.strip()


def buildah_command() -> list[str]:
    """Return the command that runs buildah on the tests' own store, as long as it may run here."""
    for tool in ("buildah", "debootstrap"):
        if shutil.which(tool) is None or os.geteuid() != 0:
            pytest.skip(_WHY_SKIPPED.format(tool))
    store = cache_folder() / "store"
    return ["buildah", "--root", str(store), "--runroot", str(store / "run")]


def base_image() -> str:
    """Return the name of the base image in the tests' store; it is made if it is not there."""
    key = hashlib.sha256(repr((SUITE, PACKAGES, _LEFT_OUT)).encode()).hexdigest()[:12]
    name = f"localhost/touge-base:{key}"
    if name not in buildah("images", "--format", "{{.Name}}:{{.Tag}}").splitlines():
        _make(name)
    return name


def derived(name: str, base: str, *commands: str) -> str:
    """Return the name of an image that is the base after commands of the shell."""
    container = buildah("from", base)
    try:
        for command in commands:
            buildah("run", "--isolation", "chroot", container, "--", "sh", "-c", command)
        buildah("commit", container, name)
    finally:
        buildah("rm", container)
    return name


def _make(name: str) -> None:
    with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
        root = Path(folder) / "root"
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        for path in _LEFT_OUT:
            shutil.rmtree(root / path, ignore_errors=True)
        container = buildah("from", "scratch")
        try:
            buildah("add", container, str(root), "/")
            buildah("config", "--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", container)
            buildah("commit", container, name)
        finally:
            buildah("rm", container)
