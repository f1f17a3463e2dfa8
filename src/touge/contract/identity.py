"""Content ids: equal content gives equal ids, everywhere (design: ids are content)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

#: Hexadecimal characters of an id: 64 bits, far below a collision for any number of runs.
ID_LENGTH = 16


def canonical_json(value: object) -> bytes:
    """Return JSON with sorted keys and no white space; refuses NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(value: object) -> str:
    """Return the sha256 of a JSON value in canonical form, hexadecimal."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def stage_id(name: str, *, section: Mapping[str, Any], inputs: Mapping[str, str], code: str) -> str:
    """Return `<name>-<hash>` of everything that decides a stage's output.

    Args:
        name: Stage name.
        section: Its resolved section, defaults filled in, schema version included, placement left out.
        inputs: Digest or stage id of each input, by role.
        code: Code digest of the stage.
    """
    return f"{name}-{digest({'section': section, 'inputs': inputs, 'code': code})[:ID_LENGTH]}"


def run_id(name: str, stage_ids: Iterable[str], *, nonce: str = "") -> str:
    """Return `<recipe name>-<hash of the stage ids>`; a nonce makes another run of the same stages."""
    return f"{name}-{digest({'stages': list(stage_ids), 'nonce': nonce})[:10]}"
