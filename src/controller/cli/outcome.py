"""How a run ended, in words for people and as JSON for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from controller.cli.following import exit_code
from controller.state import Cause, RunStatus, State

if TYPE_CHECKING:
    from controller.follow import Desk
    from controller.records import RunRecord
    from touge.contract.report import Verdict

#: A termination message is cut where a log line goes on.
_ENOUGH = 1000


def outcome(record: RunRecord) -> dict[str, Any]:
    """Return the run's state with the exit code that it means."""
    status = record.status.model_dump(mode="json", exclude={"executions"}) if record.status else {}
    return {"run": record.run, "exit_code": int(exit_code(record)), **status}


def summary(record: RunRecord, desk: Desk) -> str:
    """Return what a person wants to read when a run ends: the report, or what went wrong and what to do."""
    from controller.cli.report import report_text

    status = record.status
    if status is None or not record.over:
        return f"run {record.run} goes on; `watch {record.run}` follows it"
    if status.state is State.SUCCEEDED:
        unseen = "its report lies in the store; `report` shows it where TOUGE_STORE is set"
        report = unseen if desk.blind else report_text(record.spec.plan, desk.store)
        return f"{report}\nrun {record.run}: {state_line(status)}"
    return "\n".join([f"run {record.run}: {state_line(status)}", *_advice(record.run, status)])


def state_line(status: RunStatus) -> str:
    """Return the state with its reason and the gate's word."""
    words = [str(status.state)]
    if status.verdict:
        words.append(verdict_line(status.verdict))
    elif status.reason:
        words.append(f"({status.reason})")
    return " ".join(words)


def verdict_line(verdict: Verdict) -> str:
    """Return what the gate said and which checks did not pass."""
    if verdict.passed:
        return "- gate passed"
    failed = ", ".join(check.name for check in verdict.checks if check.passed is False)
    if verdict.passed is None:
        return f"- no verdict: {verdict.reason or 'not enough data'}"
    return f"- gate failed: {failed}"


def cause_lines(cause: Cause) -> list[str]:
    """Return the first cause of a failure with the last words of its log."""
    code = "no exit code" if cause.exit_code is None else f"exit code {cause.exit_code}"
    head = f"{cause.task}, attempt {cause.attempt}: {cause.reason} ({code})"
    tail = [line for line in cause.log_tail if not _repeats(line, cause.message)]
    return [head, *cause.message.splitlines(), *(f"  | {line}" for line in tail[-5:])]


def _repeats(line: str, message: str) -> bool:
    """Return whether a line of the log only says what the message says: a stage also logs its end, as JSON."""
    try:
        words = json.loads(line)
    except ValueError:
        return bool(line) and message.startswith(line)
    said = words.get("message") if isinstance(words, dict) and words.get("event") == "failed" else None
    return isinstance(said, str) and message.startswith(said[:_ENOUGH])


def _advice(run: str, status: RunStatus) -> list[str]:
    lines = cause_lines(status.cause) if status.cause else [status.message] if status.message else []
    return [*lines, f"`logs {run}` shows more, `retry {run}` tries again; finished stages are reused"]
