"""Whole runs on this machine, from the command line: real processes, a real store, stages that only pretend to work."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from laptop import PATIENCE_S, PROGRAM, Laptop

pytestmark = pytest.mark.slow


@pytest.fixture
def laptop(tmp_path):
    laptop = Laptop(tmp_path)
    yield laptop
    laptop.end()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder in which the recipe has run."""
    laptop = Laptop(tmp_path_factory.mktemp("finished"))
    laptop.said = laptop.run("submit", "recipe.yaml", check=0).stdout
    return laptop


@pytest.fixture
def after(finished, tmp_path):
    """A copy of that folder, to go on in."""
    shutil.copytree(finished.folder / ".touge", tmp_path / ".touge")
    return Laptop(tmp_path)


@pytest.fixture
def curated(finished, laptop):
    """A folder in which only curation has been done, by a run of another day."""
    for stage in finished.folder.glob(".touge/store/stages/curate*"):
        shutil.copytree(stage, laptop.folder / ".touge/store/stages" / stage.name)
    return laptop


def test_a_recipe_runs_to_its_report(finished):
    assert "curvature gain" in finished.said
    assert "report.html" in finished.said
    assert set(finished.attempts().values()) == {1}


def test_submitting_again_attaches_and_runs_nothing(after):
    again = after.run("submit", "recipe.yaml", check=0)

    assert "attached" in again.stderr
    assert set(after.attempts().values()) == {1}


def test_a_terminal_shows_a_bar_for_each_stage(after):
    ours, theirs = os.openpty()
    done = subprocess.run(
        [*PROGRAM, "submit", "recipe.yaml"],
        cwd=after.folder,
        env=after.environ | {"TERM": "xterm", "COLUMNS": "120"},
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        timeout=PATIENCE_S,
        check=False,
    )
    os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        shown = terminal.read(65536).decode()

    assert done.returncode == 0
    assert all(stage in shown for stage in ("curate-map", "train", "evaluate"))
    assert "100 %" in shown


def test_the_report_is_where_the_command_line_says(finished):
    line = finished.run("report", check=0).stdout.splitlines()[-1]

    assert Path(line.removeprefix("report: ")).read_text() == "<p>a report</p>"


def test_plan_tells_what_it_needs_and_changes_nothing(laptop):
    said = laptop.run("plan", "recipe.yaml", check=0).stdout

    assert "24 GB" in said
    assert "this machine" in said
    assert not (laptop.folder / ".touge").exists()


def test_plan_tells_what_is_reused(finished):
    said = finished.run("plan", "recipe.yaml", "--set", "train.steps=9", "-o", "json", check=0).stdout

    assert [row["does"] for row in json.loads(said)["outlook"]] == ["reused", "reused", "run", "run", "run"]


def test_a_change_of_training_reuses_the_curated_data(after):
    after.run("submit", "recipe.yaml", "--set", "train.steps=9", check=0)

    assert after.attempts() == {"curate-map": 0, "curate": 0, "train": 1, "evaluate-map": 1, "evaluate": 1}


def test_a_failed_gate_is_a_result_with_code_20_also_when_attaching(curated):
    curated.verdict(False)

    first = curated.run("submit", "recipe.yaml", check=20)
    curated.run("submit", "recipe.yaml", check=20)

    assert "gate failed: curve_ade" in first.stdout
    assert curated.status()["state"] == "Succeeded"


def test_no_verdict_is_code_20(curated):
    curated.verdict(None)

    assert "no verdict" in curated.run("submit", "recipe.yaml", check=20).stdout


def test_a_failed_stage_ends_the_run_with_its_cause_and_what_to_do(laptop):
    laptop.script("curate", "data")

    failed = laptop.run("submit", "recipe.yaml", check=40)
    refused = laptop.run("submit", "recipe.yaml", check=40)

    assert failed.stdout.count("drive 7 is empty") == 1
    assert "exit code 11" in failed.stdout
    assert "retry bend-" in refused.stderr
    assert "Traceback" not in failed.stdout + failed.stderr


def test_submit_retry_goes_on_where_the_run_failed(curated):
    curated.script("train", "fail:12 ok")
    curated.run("submit", "recipe.yaml", check=40)

    curated.run("submit", "recipe.yaml", "--retry", check=0)

    assert curated.attempts() == {"curate-map": 0, "curate": 0, "train": 2, "evaluate-map": 2, "evaluate": 2}


def test_a_crash_is_tried_again_unasked(curated):
    curated.script("train", "signal:11 ok")

    curated.run("submit", "recipe.yaml", check=0)

    assert curated.attempts()["train"] == 2


def test_a_killed_submit_is_resumed_by_submitting_again(curated):
    curated.script("train", "hang")
    submit = curated.begin("submit", "recipe.yaml")
    curated.wait_for_log("waiting")
    submit.kill()
    submit.communicate()
    alone = curated.status()["attended"]

    again = curated.begin("submit", "recipe.yaml", "--timeout", "2")
    _, said = again.communicate(timeout=PATIENCE_S)

    assert again.returncode == 41, said
    assert "attached" in said
    assert not alone
    assert curated.attempts() == {"curate-map": 0, "curate": 0, "train": 1, "evaluate-map": 0, "evaluate": 0}


def test_killed_training_continues_from_its_checkpoint(curated):
    curated.script("train", "checkpoint ok")
    submit = curated.begin("submit", "recipe.yaml")
    curated.wait_for_log("waiting")
    submit.kill()
    submit.communicate()
    for process in curated.folder.glob(".touge/runs/*/executions/train.*/*.json"):
        if process.name in {"keeper.json", "stage.json"}:
            os.kill(json.loads(process.read_text())["pid"], signal.SIGKILL)

    curated.run("submit", "recipe.yaml", check=0)

    assert curated.resumed_at("train") == 100
    assert curated.attempts()["train"] == 2


def test_ctrl_c_cancels_cleanly_and_retry_goes_on_from_the_checkpoint(curated):
    curated.script("train", "checkpoint ok")
    submit = curated.begin("submit", "recipe.yaml")
    curated.wait_for_log("waiting")

    submit.send_signal(signal.SIGINT)
    _, said = submit.communicate(timeout=PATIENCE_S)
    cancelled = curated.status()["state"]
    curated.run("retry", "bend", check=0)

    assert (submit.returncode, cancelled) == (40, "Cancelled"), said
    assert "Ctrl-C again kills" in said
    assert curated.resumed_at("train") == 100


def test_a_second_ctrl_c_kills(curated):
    curated.script("train", "deaf")
    submit = curated.begin("submit", "recipe.yaml")
    curated.wait_for_log("deaf")

    for _ in range(2):
        submit.send_signal(signal.SIGINT)
        time.sleep(1)
    submit.communicate(timeout=PATIENCE_S)

    assert submit.returncode == 40
    assert curated.status()["state"] == "Cancelled"


def test_a_detached_run_goes_on_by_itself(curated):
    curated.run("submit", "recipe.yaml", "--detach", check=0)

    assert curated.wait_until_over()["state"] == "Succeeded"
    assert json.loads(curated.run("list", "-o", "json").stdout)[0]["gate"] == "passed"


def test_debug_reaches_the_controller_that_detach_leaves_behind(laptop):
    laptop.script("curate-map", "data ok")

    laptop.run("submit", "recipe.yaml", "--detach", "--debug", check=0)

    laptop.wait_until_over()
    assert "Traceback" in next(laptop.folder.glob(".touge/runs/*/executions/curate-map.*/log")).read_text()


def test_cancel_ends_a_detached_run(laptop):
    laptop.script("curate-map", "hang")
    laptop.run("submit", "recipe.yaml", "--detach", check=0)
    laptop.wait_for_log("waiting", times=2)

    laptop.run("cancel", "bend", check=0)

    assert laptop.status()["state"] == "Cancelled"


def test_a_cancelled_run_that_was_deleted_is_begun_anew_by_submitting_again(laptop):
    laptop.script("train", "hang")
    laptop.run("submit", "recipe.yaml", "--detach", check=0)
    laptop.wait_for_log("waiting")
    laptop.run("cancel", "bend", check=0)
    laptop.run("delete", "bend", check=0)
    laptop.script("train", "ok")

    laptop.run("submit", "recipe.yaml", check=0)

    assert laptop.status()["state"] == "Succeeded"


def test_a_new_run_reuses_and_no_reuse_does_not(after):
    after.run("submit", "recipe.yaml", "--new-run", check=0)
    reused = after.attempts()
    after.run("submit", "recipe.yaml", "--no-reuse", check=0)

    assert set(reused.values()) == {0}
    assert set(after.attempts().values()) == {1}


def test_a_result_that_left_the_store_is_computed_again(after):
    next(after.folder.glob(".touge/store/stages/evaluate-*[0-9a-f]/committed.json")).unlink()

    again = after.run("submit", "recipe.yaml", check=0)

    assert "no longer has the result" in again.stderr
    assert after.attempts()["evaluate"] == 2


def test_logs_follow_to_the_end_of_the_run(laptop):
    laptop.run("submit", "recipe.yaml", "--detach", check=0)

    said = laptop.run("logs", "--follow", check=0).stdout

    assert "evaluate | " in said
    assert "curate-map/1 | " in said


def test_delete_forgets_the_run_and_keeps_its_artifacts(after):
    after.run("delete", "bend", check=0)

    assert json.loads(after.run("list", "-o", "json").stdout) == []
    assert list(after.folder.glob(".touge/store/stages/*/committed.json"))


def test_a_run_that_goes_on_cannot_be_deleted(laptop):
    laptop.script("curate-map", "hang")
    laptop.run("submit", "recipe.yaml", "--detach", check=0)
    laptop.wait_for_log("waiting")

    assert "cancel" in laptop.run("delete", "bend", check=2).stderr


def test_the_store_keeps_what_the_run_was_made_from_and_how_it_ended(finished):
    record = json.loads(next(finished.folder.glob(".touge/store/runs/*/run.json")).read_text())
    inventory = json.loads(next(finished.folder.glob(".touge/store/runs/*/inventory/*.json")).read_text())

    assert record["status"]["state"] == "Succeeded"
    assert [item["key"] for item in inventory["items"]] == ["a.jsonl"]


def test_a_model_whose_gate_was_passed_is_promoted(after):
    after.run("promote", "bend", check=0)

    assert (after.folder / ".touge/store/models/staging/current.json").exists()
