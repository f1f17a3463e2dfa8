"""`python -m touge.evaluation` for people: score predictions made elsewhere, or read the verdict of a report."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from touge.contract.errors import DataError, TougeError
from touge.contract.exit_codes import ExitCode
from touge.contract.model import problems
from touge.contract.prediction import Prediction
from touge.contract.report import Report
from touge.contract.sample import Sample
from touge.evaluation.comparison import BASE, TUNED, Material, compare
from touge.evaluation.page import render
from touge.evaluation.rows import read_rows
from touge.evaluation.stage import PAGE, REPORT, pick

_LISTED = 5


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit code: 0 for a passed gate, 20 for a failed one or none."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.gate:
            return _verdict(read_report(arguments.gate))
        return _verdict(_score(arguments))
    except TougeError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


def read_report(path: Path) -> Report:
    """Read report.json.

    Raises:
        DataError: If it is missing or no report.
    """
    try:
        return Report.read_json(_bytes(path))
    except ValidationError as error:
        raise DataError(f"{path} is no touge.report/1: {'; '.join(problems(error, Report)[:_LISTED])}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m touge.evaluation",
        description="Score predictions made elsewhere, or read a report's verdict. "
        "Exit codes: 0 gate passed, 20 failed or no verdict, 11 invalid data. "
        "Without arguments this is a stage, started by `python -m controller submit`.",
    )
    parser.add_argument("--gate", type=Path, metavar="REPORT.JSON", help="print the checks of a report, exit 0 or 20")
    parser.add_argument("--samples", type=Path, help="touge.sample/1 rows; only the split `test` is scored")
    parser.add_argument(
        "--predictions", nargs="+", default=[], metavar="NAME=FILE", help="touge.prediction/1 rows of base= and tuned="
    )
    parser.add_argument("--out", type=Path, help="folder for report.json and report.html")
    return parser


def _score(arguments: argparse.Namespace) -> Report:
    given = dict(item.partition("=")[::2] for item in arguments.predictions)
    if not arguments.samples or not arguments.out or not {BASE, TUNED} <= given.keys() or not all(given.values()):
        raise DataError(
            "give --samples samples.jsonl --predictions base=base.jsonl tuned=tuned.jsonl --out folder, "
            "or --gate report.json"
        )
    samples = read_rows(_bytes(arguments.samples), Sample, str(arguments.samples))
    predictions = {
        name: {row.id: row for row in read_rows(_bytes(Path(path)), Prediction, path)} for name, path in given.items()
    }
    _check_ids(samples, predictions)
    comparison = compare(
        Material(
            run=arguments.samples.stem,
            samples=tuple(samples),
            predictions=predictions,
            provenance={"samples": str(arguments.samples), "predictions": given, "made": "elsewhere"},
        )
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / REPORT).write_text(comparison.report.to_json(), encoding="utf-8")
    (arguments.out / PAGE).write_text(render(comparison, pick(comparison), {}, []), encoding="utf-8")
    return comparison.report


def _check_ids(samples: Sequence[Sample], predictions: Mapping[str, Mapping[str, Prediction]]) -> None:
    known = {sample.id for sample in samples}
    for name, rows in predictions.items():
        if strange := sorted(rows.keys() - known):
            listed = ", ".join(strange[:_LISTED])
            raise DataError(f"predictions {name}: {len(strange)} ids are not among the samples: {listed}")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error


def _verdict(report: Report) -> int:
    """Print every check and the verdict; return the exit code."""
    marks = {True: "pass", False: "FAIL", None: "open"}
    for check in report.verdict.checks:
        value = "not measured" if check.value is None else f"{check.value:.4g}"
        sys.stdout.write(f"{marks[check.passed]}  {check.name:34} {value:>12}  {check.bound}\n")
    verdict = {True: "passed", False: "failed", None: "no verdict"}[report.verdict.passed]
    reason = f" ({report.verdict.reason})" if report.verdict.reason else ""
    sys.stdout.write(f"gate: {verdict}{reason}\n")
    return ExitCode(report.verdict.exit_code)
