"""`python -m touge.evaluation` for people."""

import json
import subprocess
import sys

import pytest

from touge.contract.report import Report
from touge.evaluation.command import main
from touge.evaluation.comparison import compare
from touge.evaluation.rows import write_rows

from .worlds import material


@pytest.fixture
def files(tmp_path):
    whole = material()
    (tmp_path / "samples.jsonl").write_bytes(write_rows(whole.samples))
    for name, rows in whole.predictions.items():
        (tmp_path / f"{name}.jsonl").write_bytes(write_rows(rows.values()))
    return tmp_path


def score(folder, *, tuned="tuned.jsonl"):
    pairs = [f"base={folder / 'base.jsonl'}", f"tuned={folder / tuned}"]
    return main(["--samples", str(folder / "samples.jsonl"), "--predictions", *pairs, "--out", str(folder / "out")])


def gate(tmp_path, **changes) -> int:
    path = tmp_path / "report.json"
    path.write_text(compare(material(**changes)).report.to_json(), encoding="utf-8")
    return main(["--gate", str(path)])


def test_a_passed_gate_exits_0(tmp_path, capsys):
    assert gate(tmp_path) == 0
    assert "gate: passed" in capsys.readouterr().out


def test_a_failed_gate_exits_20_and_names_the_checks(tmp_path, capsys):
    assert gate(tmp_path, tuned=0.03) == 20
    assert "FAIL  gain_left" in capsys.readouterr().out


def test_no_verdict_exits_20(tmp_path):
    assert gate(tmp_path, drives=7) == 20


def test_predictions_made_elsewhere_are_scored(files, capsys):
    code = score(files)
    report = Report.read_json((files / "out" / "report.json").read_bytes())

    assert code == 20
    assert report.verdict.reason == "not_measured"
    assert report.models["tuned"]["curve"]["curvature_gain"]["value"] > 0.9
    assert (files / "out" / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "no verdict (not_measured)" in capsys.readouterr().out


def test_predictions_of_unknown_windows_exit_11_and_name_them(files, capsys):
    row = json.loads((files / "tuned.jsonl").read_text(encoding="utf-8").splitlines()[0]) | {"id": "elsewhere@0"}
    (files / "strange.jsonl").write_text(json.dumps(row), encoding="utf-8")

    assert score(files, tuned="strange.jsonl") == 11
    assert "elsewhere@0" in capsys.readouterr().err


def test_a_missing_file_exits_11(files, capsys):
    assert score(files, tuned="nowhere.jsonl") == 11
    assert "nowhere.jsonl" in capsys.readouterr().err


def test_half_a_command_says_what_is_missing(capsys):
    assert main(["--samples", "samples.jsonl"]) == 11
    assert "--predictions base=" in capsys.readouterr().err


def test_a_file_that_is_no_report_exits_11(tmp_path, capsys):
    (tmp_path / "report.json").write_text("{}", encoding="utf-8")

    assert main(["--gate", str(tmp_path / "report.json")]) == 11
    assert "no touge.report/1" in capsys.readouterr().err


def test_judging_needs_no_torch():
    code = "import sys, touge.evaluation.command; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_module_is_the_command(tmp_path):
    path = tmp_path / "report.json"
    path.write_text(compare(material(drives=8)).report.to_json(), encoding="utf-8")
    command = [sys.executable, "-m", "touge.evaluation", "--gate", str(path)]

    ended = subprocess.run(command, check=False, capture_output=True, text=True)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "gate: passed" in ended.stdout
