"""The part of constraints.txt that one extra needs, hashes and all: `python pins.py EXTRA`, or `--only PACKAGE`.

Runs first in the build of an image, with nothing but the base's Python and pip. pip says which of the pinned versions
the extra leads to; the hashes are those of constraints.txt, never the index's, so that pip can be told to check them.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

_PINNED = re.compile(r"^(?P<name>[a-z0-9][a-z0-9.-]*)==")
_SELF = re.compile(r"^touge\[(?P<extras>[a-z,]+)\]$")


def requirements(project: Mapping[str, Any], extra: str) -> list[str]:
    """Return what touge needs with an extra, an extra's own extras followed.

    Raises:
        SystemExit: If there is no such extra.
    """
    extras = project["optional-dependencies"]
    if extra not in extras:
        raise SystemExit(f"pins.py: no extra {extra!r} in pyproject.toml; there are {', '.join(extras)}")
    return list(dict.fromkeys([*project["dependencies"], *_followed(extras, extra)]))


def blocks(constraints: str) -> dict[str, list[str]]:
    """Return each package's pins, requirement and hashes; there are several where versions differ by Python."""
    found: dict[str, list[str]] = {}
    for block in re.split(r"\n(?=\S)", constraints.strip()):
        if match := _PINNED.match(block):
            found.setdefault(match["name"], []).append(block)
    return found


def chosen(pins: Mapping[str, list[str]], names: Iterable[str]) -> str:
    """Return the pins of packages, as a file for `pip install --require-hashes`.

    Raises:
        SystemExit: If some are not pinned.
    """
    wanted = sorted({_normal(name) for name in names})
    if missing := [name for name in wanted if name not in pins]:
        raise SystemExit(f"pins.py: not pinned in constraints.txt: {', '.join(missing)}. Compile it again")
    return "".join(f"{block}\n" for name in wanted for block in pins[name])


def resolved(needed: Iterable[str], pins: Mapping[str, list[str]]) -> list[str]:
    """Ask pip which packages the requirements lead to on this machine; nothing is installed."""
    with tempfile.TemporaryDirectory() as folder:
        versions, report = Path(folder) / "versions.txt", Path(folder) / "report.json"
        versions.write_text("".join(f"{_unhashed(block)}\n" for of_one in pins.values() for block in of_one))
        command = ["install", "--quiet", "--dry-run", "--ignore-installed", "--only-binary", ":all:"]
        more = ["--constraint", str(versions), "--report", str(report), *needed]
        subprocess.run([sys.executable, "-m", "pip", *command, *more], check=True)  # noqa: S603 - our own words
        return [item["metadata"]["name"] for item in json.loads(report.read_bytes())["install"]]


def main(argv: list[str], folder: Path = Path()) -> None:
    """Print the pins."""
    pins = blocks((folder / "constraints.txt").read_text("utf-8"))
    if argv[0] == "--only":
        names = argv[1:]
    else:
        project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
        names = resolved(requirements(project, argv[0]), pins)
    sys.stdout.write(chosen(pins, names))


def _followed(extras: Mapping[str, list[str]], extra: str) -> Iterator[str]:
    for needed in extras[extra]:
        if match := _SELF.match(needed):
            for other in match["extras"].split(","):
                yield from _followed(extras, other)
        else:
            yield needed


def _unhashed(block: str) -> str:
    return block.partition("\\")[0].strip()


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main(sys.argv[1:])
