"""The code digests of this installation: read from the image's baked file, or computed from source.

Used by the controller to make a plan and by every stage to refuse a plan made for other code.
An image bakes its digests with `python -m touge.storage.sources > FILE`.
"""

from __future__ import annotations

import json
import os
import sys
from functools import cache
from pathlib import Path

from touge.contract.code import STAGE_PACKAGES, code_digest
from touge.contract.errors import SettingsError

#: Names a JSON file {stage: digest} that an image's build wrote.
BAKED = "TOUGE_CODE_DIGESTS"
_PACKAGE = Path(__file__).resolve().parents[1]
#: What is told of trainings changes none: a new measurement leaves every stage's id as it is.
_TOLD = Path("contract/figures.yaml")


def code_digests() -> dict[str, str]:
    """Return the code digest of every stage.

    Raises:
        SettingsError: If the baked file cannot be used, or there is neither that nor a source checkout.
    """
    baked = os.environ.get(BAKED)
    return _read_baked(Path(baked)) if baked else computed_digests(_PACKAGE, _PACKAGE.parents[1] / "constraints.txt")


@cache
def computed_digests(package: Path, constraints: Path) -> dict[str, str]:
    """Return the code digest of every stage, from the source files of a package and the pinned dependencies.

    Raises:
        SettingsError: If the file of pinned dependencies cannot be read.
    """
    try:
        pinned = constraints.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"code version: {constraints}: {error.strerror}, and {BAKED} is not set. "
            "Run from a source checkout, or set it to the file that the image's build wrote"
        ) from None
    paths = [path for path in package.rglob("*") if path.is_file() and _counts(path.relative_to(package))]
    sources = {path.relative_to(package).as_posix(): path.read_bytes() for path in paths}
    return {stage: code_digest(stage, sources, pinned) for stage in STAGE_PACKAGES}


def _counts(path: Path) -> bool:
    """Whether a file decides what a stage does, and was not left by an interpreter or an editor."""
    return path != _TOLD and not any(part == "__pycache__" or part.startswith(".") for part in path.parts)


def _read_baked(path: Path) -> dict[str, str]:
    try:
        digests = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"code version: {BAKED}={path} cannot be read: {error}. Build the image again") from error
    missing = [stage for stage in STAGE_PACKAGES if not isinstance(digests, dict) or stage not in digests]
    if missing:
        raise SettingsError(
            f"code version: {BAKED}={path} has no digest of {', '.join(missing)}. Build the image again"
        )
    return {stage: str(digests[stage]) for stage in STAGE_PACKAGES}


if __name__ == "__main__":
    json.dump(code_digests(), sys.stdout)
