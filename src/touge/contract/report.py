"""The part of `touge.report/1` that the controller and CI rely on; a report may carry more keys."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from touge.contract.exit_codes import ExitCode
from touge.contract.model import Document


class Check(Document):
    """One bound of the gate."""

    name: str
    passed: bool | None
    value: float | None
    bound: str
    detail: str = ""


class Verdict(Document):
    """Whether the gate passed; null where the data is too little to say."""

    passed: bool | None
    reason: str | None = None
    checks: tuple[Check, ...]

    @property
    def exit_code(self) -> ExitCode:
        """0 for a passed gate, 20 for a failed one and for no verdict."""
        return ExitCode.OK if self.passed else ExitCode.GATE_FAILED


class Report(Document):
    """The stable keys of report.json."""

    model_config = ConfigDict(extra="allow")

    schema_version: Literal["touge.report/1"] = Field("touge.report/1", alias="schema")
    run: str
    verdict: Verdict
    windows: dict[str, int]
    models: dict[str, dict[str, dict[str, Any]]]
    paired: dict[str, dict[str, dict[str, Any]]]
    provenance: dict[str, Any]
