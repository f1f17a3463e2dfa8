"""A run's status that fits into a ConfigMap, whatever its executions have said. Pure.

A ConfigMap holds 1 MiB in all. Few runs come near; of those that do, first the log tails of executions are shortened
(the cause keeps its own), then the whole is compressed.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping

from controller.state import Execution, RunStatus

STATUS, COMPRESSED = "status", "status.gz"
#: Bytes that a readable status may take; the plan and the templates need theirs.
READABLE = 400_000
_TAILS = (40, 10, 3, 0)
_LINE, _MESSAGE = 400, 2_000


def packed(status: RunStatus, budget: int = READABLE) -> dict[str, dict[str, str | None]]:
    """Return `data` and `binaryData` of a ConfigMap; what is None is taken out.

    Args:
        status: What is known of a run.
        budget: Bytes that it may take while it is readable.
    """
    for lines in _TAILS:
        text = _shortened(status, lines).to_json()
        if len(text.encode()) <= budget:
            return {"data": {STATUS: text}, "binaryData": {COMPRESSED: None}}
    small = base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
    return {"data": {STATUS: None}, "binaryData": {COMPRESSED: small}}


def unpacked(data: Mapping[str, str], binary: Mapping[str, str]) -> RunStatus | None:
    """Return the status that `packed` made, or None where there is none."""
    if COMPRESSED in binary:
        return RunStatus.read_json(gzip.decompress(base64.b64decode(binary[COMPRESSED])))
    return RunStatus.read_json(data[STATUS]) if data.get(STATUS) else None


def _shortened(status: RunStatus, lines: int) -> RunStatus:
    return status.model_copy(update={"executions": tuple(_short(e, lines) for e in status.executions)})


def _short(execution: Execution, lines: int) -> Execution:
    tail = tuple(line[:_LINE] for line in execution.log_tail[-lines:]) if lines else ()
    return execution.model_copy(update={"log_tail": tail, "message": execution.message[:_MESSAGE]})
