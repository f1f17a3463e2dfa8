"""`report`: the before/after table of a finished run and where its report lies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field
from pydantic_settings import CliPositionalArg

from controller.cli.verb import RunVerb, Tools, table

if TYPE_CHECKING:
    from touge.contract.plan import Plan
    from touge.contract.report import Report as TheReport
    from touge.storage.port import Store

#: Rows of the table: bucket, metric, key below it (or None), title, unit.
_ROWS = (
    ("curve", "right_direction", None, "curves: names the direction", "%"),
    ("curve", "consistency", None, "curves: does what it says", "%"),
    ("curve", "coverage", None, "curves: says a direction", "%"),
    ("curve", "curvature_gain", None, "curves: curvature gain (1 = no bias)", ""),
    ("curve", "curvature_gain_left", None, "  left", ""),
    ("curve", "curvature_gain_right", None, "  right", ""),
    ("curve", "ade", "3", "curves: ADE at 3 s", "m"),
    ("curve", "ade", "6.4", "curves: ADE at 6.4 s", "m"),
    ("straight", "ade", "3", "straight: ADE at 3 s", "m"),
    ("straight", "ade", "6.4", "straight: ADE at 6.4 s", "m"),
    ("straight", "false_bend", None, "straight: false bends", "%"),
)
_MODELS = ("base", "tuned", "constant_velocity", "constant_turn_rate")


class Report(RunVerb):
    """Print the before/after table of a run and where its report is."""

    name: CliPositionalArg[str | None] = Field(None, description="run id, its beginning, or nothing for the newest")

    def run(self, tools: Tools) -> int:
        """Print the table; the exit code is the gate's."""
        from controller.cli.runs import find_run
        from controller.facts import read_report

        desk = tools.desk()
        plan = find_run(desk.records, self.name).spec.plan
        report = read_report(plan, desk.store)
        data = report.model_dump(mode="json", by_alias=True)
        self.say(report_text(plan, desk.store, report, tools.settings.home), data)
        return report.verdict.exit_code


def report_text(plan: Plan, store: Store, report: TheReport | None = None, home: Path = Path(".touge")) -> str:
    """Return the table, the verdict and the path of report.html."""
    from controller.cli.outcome import verdict_line
    from controller.facts import read_report

    report = report or read_report(plan, store)
    windows = ", ".join(f"{count} {bucket}" for bucket, count in report.windows.items())
    checks = [
        f"  {check.name}: {_number(check.value, '')}, expected {check.bound}"
        + (f" ({check.detail})" if check.detail else "")
        for check in report.verdict.checks
        if not check.passed
    ]
    lines = [
        before_after(report),
        "",
        f"windows: {windows}",
        f"gate {plan.recipe.evaluate.gate} {verdict_line(report.verdict)}",
    ]
    return "\n".join([*lines, *checks, f"report: {page_path(plan, store, home)}"])


def before_after(report: TheReport) -> str:
    """Return the table of what the base did, what the tuned model does, and the simple baselines."""
    models = [name for name in _MODELS if name in report.models]
    rows = [["", *(name.replace("_", " ") for name in models)]]
    for bucket, metric, key, title, unit in _ROWS:
        values = [_value(report.models[name].get(bucket, {}).get(metric), key) for name in models]
        if any(value is not None for value in values):
            rows.append([title, *(_number(value, unit) for value in values)])
    return table(rows)


def page_path(plan: Plan, store: Store, home: Path) -> str:
    """Return where report.html can be opened: in a file store where it lies, otherwise a downloaded copy."""
    from touge.contract.artifacts import StageRef
    from touge.storage.execution import committed

    artifact = committed(store, StageRef(plan.stage("evaluate").id))
    if artifact is None or "report.html" not in artifact.names():
        return "none was written"
    if store.uri.startswith("file://"):
        return f"{store.uri.removeprefix('file://')}/{artifact.prefix}report.html"
    return str(artifact.fetch(home / "reports" / plan.run, ["report.html"]) / "report.html")


def _value(metric: Any, key: str | None) -> float | None:
    """Return a metric's point estimate: a number, or `value` of {value, low, high}, below `key` if there is one."""
    if key is not None:
        metric = metric.get(key) if isinstance(metric, dict) else None
    if isinstance(metric, dict):
        metric = metric.get("value")
    return float(metric) if isinstance(metric, int | float) else None


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.0f} %" if unit == "%" else f"{value:.2f} {unit}".rstrip()
