"""The CI examples: every command is one that the command line knows, and every exit code leads where they say."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from eventually import PATIENCE_S

from controller.cli.app import parse
from controller.cli.submit import Submit
from touge.contract.exit_codes import ExitCode

ROOT = Path(__file__).parents[2]
GITHUB = yaml.safe_load((ROOT / "docs/ci/github-actions.yaml").read_text("utf-8"))
GITLAB = yaml.safe_load((ROOT / "docs/ci/gitlab-ci.yaml").read_text("utf-8"))["retrain"]
STEPS = {step.get("name", step.get("id")): step for step in GITHUB["jobs"]["retrain"]["steps"] if "run" in step}
SCRIPTS = [*(step["run"] for step in STEPS.values()), *GITLAB["before_script"], *GITLAB["script"]]
COMMANDS = sorted({found for text in SCRIPTS for found in re.findall(r"python -m controller ([^>|;\n]*)", text)})
CODES = (0, 20, 40, 41, 42)


def test_both_examples_submit_wait_and_report():
    assert {"doctor", "plan", "submit", "logs", "report"} == {command.split()[0] for command in COMMANDS}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_understood(command):
    verb = parse(shlex.split(command.replace('"$run"', "retrain-0123456789")))

    assert not hasattr(verb, "recipe") or (ROOT / verb.recipe).is_file()


def test_both_wait_with_a_time_limit_below_the_jobs_own():
    submits = [verb for command in COMMANDS if isinstance(verb := parse(shlex.split(command.replace('"', ""))), Submit)]

    assert all(verb.wait and verb.retry and verb.output == "json" for verb in submits)
    assert all(verb.timeout < 60 * GITHUB["jobs"]["retrain"]["timeout-minutes"] for verb in submits)
    assert submits


def test_no_key_is_stored():
    text = (ROOT / "docs/ci/github-actions.yaml").read_text("utf-8") + str(GITLAB)

    assert "secrets." not in text
    assert "AWS_SECRET_ACCESS_KEY" not in text
    assert GITHUB["permissions"]["id-token"] == "write"
    assert "id_tokens" in GITLAB


def ran(script, folder, code, shell):
    """Run a step with a command line that ends with a code; return its own code and what it asked for."""
    (folder / "python").write_text(
        f"""#!/bin/sh
[ "$1" = -c ] && exec /usr/bin/env -i {shlex.quote(shell)} "$@"
echo "$TOUGE_STORE $*" >> asked
case "$3" in
  submit) echo '{{"run": "retrain-0123456789"}}'; exit {code} ;;
  report) echo a table; exit {code} ;;
esac
"""
    )
    (folder / "python").chmod(0o755)
    environ = {"PATH": f"{folder}:/usr/bin:/bin", "GITHUB_OUTPUT": "output", "GITHUB_STEP_SUMMARY": "summary"}
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    asked = (folder / "asked").read_text().splitlines() if (folder / "asked").exists() else []
    return done.returncode, asked, done.stdout


@pytest.fixture
def run(tmp_path):
    return lambda script, code: ran(script, tmp_path, code, sys.executable)


@pytest.mark.parametrize("code", CODES)
def test_on_github_a_failed_gate_passes_the_first_job_and_fails_the_second(run, tmp_path, code):
    ended, _, _ = run(STEPS["Submit and wait"]["run"], code)
    gate, _, _ = run(GITHUB["jobs"]["gate"]["steps"][0]["run"].replace("$CODE", str(code)), code)

    assert ended == (0 if code in {0, 20} else code)
    assert gate == code
    assert f"code={code}\n" == (tmp_path / "output").read_text()


@pytest.mark.parametrize("code", [0, 20])
def test_on_github_the_report_is_kept_whatever_the_gate_says(run, tmp_path, code):
    run(STEPS["Submit and wait"]["run"], code)

    ended, asked, _ = run(STEPS["Report"]["run"], code)

    assert ended == 0
    assert asked[-1].endswith("-m controller report retrain-0123456789")
    assert "a table\n" == (tmp_path / "report.txt").read_text() == (tmp_path / "summary").read_text()


@pytest.mark.parametrize(
    ("code", "asks"), [(0, "report"), (20, "report"), (40, "logs"), (41, "submit"), (42, "submit")]
)
def test_on_gitlab_the_job_ends_with_the_runs_code_and_keeps_what_tells_why(run, code, asks):
    ended, asked, _ = run(GITLAB["script"][-1], code)

    assert ended == code
    assert asked[-1].partition("-m controller ")[2].split()[0] == asks


def test_on_gitlab_the_store_is_named_for_the_report_alone(run):
    _, asked, _ = run(GITLAB["script"][-1], 0)

    assert [line.split(" -m ")[0] for line in asked] == ["", "s3://drives/touge"]


def test_on_gitlab_only_a_failed_gate_is_a_warning():
    assert GITLAB["allow_failure"] == {"exit_codes": [ExitCode.GATE_FAILED]}


def test_the_table_names_the_codes_that_waiting_ends_with():
    table = (ROOT / "docs/ci/README.md").read_text("utf-8")

    assert {str(code) for code in CODES} <= set(re.findall(r"^\| (\d+) ", table, re.MULTILINE))
