"""The command line: what it understands, and what it says when it does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from run_builders import plan_of, spec_of

from controller.cli.app import main, parse
from controller.cli.following import exit_code
from controller.cli.outcome import cause_lines, state_line
from controller.cli.report import before_after
from controller.cli.runs import find_run
from controller.cli.verb import UsageError, table
from controller.records import FileRecords, RunRecord
from controller.state import Cause, Reason, RunStatus, State, Task
from touge.contract.report import Report, Verdict

VERBS = (
    *("submit", "plan", "list", "status", "watch", "logs", "cancel", "retry", "delete"),
    *("report", "promote", "operate", "doctor", "schema"),
)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TOUGE_HOME", str(tmp_path))
    monkeypatch.setenv("TOUGE_STORE", f"file://{tmp_path}/store")
    return tmp_path


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb, capsys):
    with pytest.raises(SystemExit) as caught:
        parse([verb, "--help"])

    assert caught.value.code == 0
    assert "usage: python -m controller" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sbmit", "x"], "unknown verb sbmit; did you mean submit?"),
        (["submit", "x", "--detatch"], "unknown option --detatch; did you mean --detach?"),
        (["submit"], "the following arguments are required: RECIPE"),
        (["submit", "x", "--timeout", "soon"], "--timeout: given 'soon'"),
    ],
)
def test_a_wrong_command_line_ends_with_2_and_the_nearest_name(words, said, capsys):
    with pytest.raises(SystemExit) as caught:
        parse(words)

    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_overrides_arrive_as_they_were_given():
    given = [
        "train.lora.rank=32",
        "curate.cameras=[front_wide, front_tele]",
        'a.b="x,y"',
        "c={k: 1}",
        "d=1e-4",
        "e=%20",
    ]
    words = [word for text in given for word in ("--set", text)]

    assert parse(["plan", "r.yaml", *words]).overrides == given
    assert parse(["plan", "r.yaml", "--set=a=[1,2]"]).overrides == ["a=[1,2]"]


def test_an_error_is_a_message_without_traceback_unless_asked_for(home, capsys):
    code = main(["plan", "nowhere.yaml"])
    quiet = capsys.readouterr().err
    main(["plan", "nowhere.yaml", "--debug"])
    loud = capsys.readouterr().err

    assert code == 10
    assert quiet.startswith("error: nowhere.yaml: 1 problem")
    assert "Traceback" not in quiet
    assert "Traceback" in loud


def test_a_misspelt_key_is_named_with_the_nearest_one(home, tmp_path, capsys):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("apiVersion: touge/v1\nname: x\nbase: file:///b\ncurate: {drivs: []}\ntrain: {method: lora}\n")

    assert main(["plan", str(recipe)]) == 10
    assert "did you mean `drives`?" in capsys.readouterr().err


def test_detach_and_wait_contradict_one_another(home, capsys):
    assert main(["submit", "r.yaml", "--detach", "--wait"]) == 2


def test_doctor_finds_a_good_store_and_says_so(home, capsys):
    main(["doctor", "-o", "json"])

    findings = {finding["name"]: finding["ok"] for finding in json.loads(capsys.readouterr().out)}
    assert findings["store, conditional create"]
    assert findings["store, conditional replace"]
    assert not list(home.glob("store/runs/*/*"))


def test_doctor_tells_what_to_do_about_a_bad_store(home, monkeypatch, capsys):
    monkeypatch.setenv("TOUGE_STORE", "ftp://x")

    assert main(["doctor"]) == 10
    assert "set TOUGE_STORE" in capsys.readouterr().out


def test_a_stale_schema_is_refused(home, tmp_path):
    (tmp_path / "schema.json").write_text("{}")

    assert main(["schema", "--check", str(tmp_path / "schema.json")]) == 2


def record(status=None, **spec):
    return RunRecord(version=1, spec=spec_of(**spec), status=status)


@pytest.mark.parametrize(
    ("state", "passed", "code"),
    [
        (State.SUCCEEDED, True, 0),
        (State.SUCCEEDED, False, 20),
        (State.SUCCEEDED, None, 20),
        (State.FAILED, None, 40),
        (State.CANCELLED, None, 40),
        (State.RUNNING, None, 41),
        (State.UNSCHEDULABLE, None, 42),
    ],
)
def test_the_exit_code_tells_how_the_run_stands(state, passed, code):
    assert exit_code(record(RunStatus(state=state, verdict=Verdict(passed=passed, checks=())))) == code


def test_no_verdict_says_why():
    verdict = Verdict(passed=None, reason="insufficient_clusters", checks=())

    assert (
        state_line(RunStatus(state=State.SUCCEEDED, verdict=verdict)) == "Succeeded - no verdict: insufficient_clusters"
    )


def test_a_run_is_found_by_the_beginning_of_its_id_and_the_newest_by_default(tmp_path):
    records = FileRecords(tmp_path)
    made = [
        records.create(spec_of(plan_of(name=name)).model_copy(update={"created_us": n})) for n, name in enumerate("ab")
    ]

    assert find_run(records, "a-") == made[0]
    assert find_run(records, None) == made[1]


def test_a_run_that_is_not_there_is_answered_with_the_nearest(tmp_path):
    records = FileRecords(tmp_path)
    run = records.create(spec_of()).run

    with pytest.raises(UsageError, match=f"did you mean {run}"):
        find_run(records, run.replace("bend", "bent"))


WORKING = '{"event": "working", "message": "no frames"}'


@pytest.mark.parametrize(
    ("message", "tail", "shown"),
    [
        ("no frames", ['{"event": "failed", "message": "no frames"}'], []),
        ("no frames (5 times; given up)", ['{"event": "failed", "message": "no frames"}'], []),
        ("x" * 4096, [json.dumps({"event": "failed", "message": "x" * 9000})], []),
        ("Killed", ["Killed"], []),
        (
            "no frames",
            ['{"event": "working", "message": "no frames"}'],
            ['{"event": "working", "message": "no frames"}'],
        ),
        ("no frames", ["", "5", "Traceback"], ["", "5", "Traceback"]),
    ],
)
def test_a_cause_is_told_once(message, tail, shown):
    cause = Cause(task=Task(stage="train"), attempt=1, reason=Reason.ERROR, exit_code=1, message=message, log_tail=tail)

    assert ["train, attempt 1: Error (exit code 1)", message, *(f"  | {line}" for line in shown)] == cause_lines(cause)


def test_columns_are_aligned():
    assert table([["a", "bb"], ["ccc", "d"]]) == "a    bb\nccc  d"


def test_the_report_table_shows_before_and_after():
    ade = {"6.4": {"value": 6.0, "low": 5.0, "high": 7.0}}
    models = {"base": {"curve": {"ade": ade}}, "tuned": {"curve": {"ade": {"6.4": {"value": 2}}, "consistency": 0.95}}}
    verdict = {"passed": True, "checks": []}
    report = Report(run="r", verdict=verdict, windows={}, models=models, paired={}, provenance={})

    lines = before_after(report).splitlines()

    assert lines[1].split() == ["curves:", "does", "what", "it", "says", "-", "95", "%"]
    assert lines[2].split() == ["curves:", "ADE", "at", "6.4", "s", "6.00", "m", "2.00", "m"]


def test_starting_up_imports_no_heavy_package():
    code = "import sys, controller.cli.app; print([m for m in sys.argv[1:] if m in sys.modules])"
    said = subprocess.run(
        [sys.executable, "-c", code, "torch", "numpy", "boto3", "kubernetes", "prometheus_client", "rich"],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )

    assert said.stdout.strip() == "[]"
