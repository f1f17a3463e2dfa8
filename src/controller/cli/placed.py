"""Where a stage is at work, in a few words. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controller.state import RunStatus

_NAMED = 3


def placed(status: RunStatus, stage: str) -> str:
    """Return the nodes of a stage's newest attempt, of which few are named; empty outside a cluster."""
    mine = [execution for execution in status.executions if execution.task.stage == stage]
    newest = max((execution.attempt for execution in mine), default=0)
    nodes = sorted({node for execution in mine if execution.attempt == newest for node in execution.nodes})
    more = f" and {len(nodes) - _NAMED} more" if len(nodes) > _NAMED else ""
    return ", ".join(nodes[:_NAMED]) + more
