"""Code digests: which sources a stage may import, hashed, so that changed code is a changed stage."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

#: The packages of touge that each stage may import; equal to the import contract in pyproject.toml.
STAGE_PACKAGES: Mapping[str, tuple[str, ...]] = {
    "curate-map": ("contract", "storage", "motion", "language", "drives", "curation"),
    "curate": ("contract", "storage", "motion", "language", "drives", "curation"),
    "train": ("contract", "storage", "alpamayo", "training"),
    "evaluate-map": ("contract", "storage", "motion", "language", "alpamayo", "evaluation"),
    "evaluate": ("contract", "storage", "motion", "language", "alpamayo", "evaluation"),
}


def code_digest(stage: str, sources: Mapping[str, bytes], constraints: bytes) -> str:
    """Return the digest of a stage's code.

    Args:
        stage: Stage name.
        sources: Content of every source file of touge, by path relative to the package.
        constraints: Content of constraints.txt.
    """
    packages = STAGE_PACKAGES[stage]
    chosen = sorted(path for path in sources if path.split("/")[0] in packages or "/" not in path)
    total = hashlib.sha256(hashlib.sha256(constraints).digest())
    for path in chosen:
        total.update(path.encode() + b"\0" + hashlib.sha256(sources[path]).digest())
    return total.hexdigest()
