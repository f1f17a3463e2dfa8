"""Builds the images with buildah or docker: `make images`, all four, or `make images IMAGES="controller curate"`.

From the environment: BASE_IMAGE (a Debian-based Python), REGISTRY (put before the names, as the chart's
global.imageRegistry), PIP_CERT (certificates that pip trusts while building; none of it stays in an image),
SOURCE_DATE_EPOCH (of every file; the last commit's time by default). Needs no virtual environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: The chart's images, by name, and what each is built from.
DOCKERFILES: Mapping[str, str] = {
    "controller": "images/controller/Dockerfile",
    "curate": "images/curate/Dockerfile",
    "train": "Dockerfile.train",
    "evaluate": "Dockerfile.eval",
}


@dataclass(frozen=True, slots=True)
class Build:
    """How images are built.

    Args:
        engine: The command, `buildah` or `docker`, with options of its own.
        base: The image to build on; empty: the Dockerfiles' own.
        registry: Put before every name.
        certificates: File of certificates that pip trusts; empty: the base's.
        epoch: Time of every file, seconds since 1970.
        revision: Of the source, for the images' label.
    """

    engine: Sequence[str]
    base: str = ""
    registry: str = "docker.io"
    certificates: str = ""
    epoch: int = 0
    revision: str = ""

    def name(self, image: str) -> str:
        """Return an image's full name; its tag is the package's version."""
        return f"{self.registry}/touge/{image}:{version()}"

    def command(self, image: str) -> list[str]:
        """Return the command that builds an image from the repository's root."""
        arguments = {"SOURCE_DATE_EPOCH": str(self.epoch)} | ({"BASE_IMAGE": self.base} if self.base else {})
        options = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
        if self.certificates:
            options += ["--secret", f"id=pip-cert,src={self.certificates}"]
        if self.revision:
            options += ["--label", f"org.opencontainers.image.revision={self.revision}"]
        if Path(self.engine[0]).name == "buildah":
            options += ["--layers", "--force-rm", "--timestamp", str(self.epoch)]
        return [*self.engine, "build", *options, "--tag", self.name(image), "--file", DOCKERFILES[image], "."]


def version() -> str:
    """Return the package's version, which is the images' and the chart's."""
    version: str = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    return version


def from_environment(environ: Mapping[str, str]) -> Build:
    """Return how images are built on this machine.

    Raises:
        SystemExit: If there is neither buildah nor docker.
    """
    engine = next((tool for tool in ("buildah", "docker") if shutil.which(tool)), None)
    if engine is None:
        raise SystemExit("make images: neither buildah nor docker on PATH; install one of them")
    return Build(
        engine=[engine],
        base=environ.get("BASE_IMAGE", ""),
        registry=environ.get("REGISTRY") or "docker.io",
        certificates=environ.get("PIP_CERT", ""),
        epoch=int(environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct")),
        revision=_git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"),
    )


def main(images: Sequence[str], environ: Mapping[str, str]) -> int:
    """Build images one after the other; return the exit code of the first that fails."""
    if unknown := [image for image in images if image not in DOCKERFILES]:
        raise SystemExit(f"make images: no image {', '.join(unknown)}; there are {', '.join(DOCKERFILES)}")
    build = from_environment(environ)
    for image in images or DOCKERFILES:
        print(f"make images: {build.name(image)}", file=sys.stderr, flush=True)  # noqa: T201 - progress
        if code := subprocess.run(build.command(image), cwd=ROOT, check=False).returncode:  # noqa: S603 - our own words
            return code
    return 0


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 - the same


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
