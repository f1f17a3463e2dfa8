"""The whole pipeline, tiny: drives to report and gate with the real stages, from the command line."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventually import PATIENCE_S
from tiny_pipeline import TRAIN, recipe
from whole_run import Desk, environ, half_written

from touge.contract.exit_codes import ExitCode

pytestmark = [pytest.mark.timeout(4 * PATIENCE_S), pytest.mark.slow]


def desk_in(folder: Path, inputs: Path, **curate: object) -> Desk:
    folder.mkdir(exist_ok=True)
    return Desk(folder, recipe(f"file://{inputs}", **curate), environ()).write()


@pytest.fixture(scope="module")
def run(inputs, tmp_path_factory) -> Desk:
    """A folder in which the recipe has run, with what its submission said and ended with."""
    place = desk_in(tmp_path_factory.mktemp("run"), inputs)
    place.done = place.submit()
    return place


@pytest.fixture(scope="module")
def disturbed(run, inputs, tmp_path_factory) -> Iterator[Desk]:
    """The same run in another folder, from the curated data on: training is killed, and then everything at once."""
    place = desk_in(tmp_path_factory.mktemp("disturbed"), inputs)
    shutil.copytree(run.store / "stages", place.store / "stages", ignore=shutil.ignore_patterns("train-*", "evaluate*"))
    submit = place.begin("submit", "recipe.yaml")
    wait_for_checkpoint(place, attempt=1)
    kill(place, 1, "stage")
    wait_for_checkpoint(place, attempt=2)
    submit.kill()
    kill(place, 2, "keeper", "stage")
    submit.communicate(timeout=PATIENCE_S)
    place.done = place.submit()
    yield place
    place.run("cancel", "tiny")


def report_of(place: Desk) -> dict:
    return json.loads((place.artifact("evaluate") / "report.json").read_text())


def adapter_of(place: Desk) -> dict[str, bytes]:
    folder = place.artifact("train") / "adapter"
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def checks_of(report: dict) -> dict[str, bool | None]:
    return {check["name"]: check["passed"] for check in report["verdict"]["checks"]}


def wait_for_checkpoint(place: Desk, attempt: int) -> None:
    """Wait until this execution of training has written one, and goes on."""
    deadline = time.monotonic() + PATIENCE_S
    while not list(place.store.glob(f"stages/train-*/executions/*-{attempt}-*/checkpoints/*/manifest.json")):
        assert time.monotonic() < deadline, place.run("logs").said
        time.sleep(0.01)


def kill(place: Desk, attempt: int, *names: str) -> None:
    """Kill -9 what the local runner's records of training name: its keeper, the stage, or both."""
    for name in names:
        (record,) = place.folder.glob(f".touge/runs/*/executions/train.*.{attempt}/{name}.json")
        os.kill(json.loads(record.read_text())["pid"], signal.SIGKILL)


def steps_resumed_at(place: Desk) -> list[int]:
    """Return the steps that executions of training went on from, in their order."""
    lines = place.run("logs", "--stage", "train").out.splitlines()
    events = [json.loads(line) for line in lines if line.startswith("{")]
    return [event["step"] for event in events if event["event"] == "resumed"]


def test_a_model_that_learned_nothing_ends_with_code_20_and_a_report_that_says_so(run):
    report = report_of(run)

    assert run.done.code == ExitCode.GATE_FAILED, run.done.said
    assert report["verdict"]["passed"] is not True
    assert {"base", "tuned"} <= report["models"].keys()
    assert report["windows"]["curve"] > 0
    assert report["windows"]["straight"] > 0
    assert "No verdict" in (run.artifact("evaluate") / "report.html").read_text()
    assert "no verdict" in run.done.out
    assert not half_written(run.store)


def test_the_page_is_self_contained(run):
    page = (run.artifact("evaluate") / "report.html").read_text()
    addresses = re.findall(r"""(?:src|href)=["']?([^"'>\s]+)""", page) + re.findall(r"url\(([^)]+)", page)

    assert any(address.startswith("data:image/") for address in addresses)
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert set(re.findall(r"https?://[^\s\"'<]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert "@import" not in page
    assert str(run.artifact("evaluate") / "report.html") in run.done.out


def test_every_stage_ran_once_and_said_how_it_went(run):
    assert run.attempts() == {"curate-map": 1, "curate": 1, "train": 1, "evaluate-map": 1, "evaluate": 1}
    assert "Traceback" not in run.run("logs").out + run.done.said


def test_submitting_again_attaches_with_the_same_code_and_runs_nothing(run):
    before = sorted(run.store.rglob("*"))

    again = run.submit()

    assert again.code == run.done.code
    assert "attached" in again.err
    assert again.out == run.done.out
    assert sorted(run.store.rglob("*")) == before
    assert set(run.attempts().values()) == {1}


def test_killed_training_goes_on_unasked_and_after_a_power_cut_when_submitted_again(run, disturbed):
    first, second = steps_resumed_at(disturbed)

    assert 0 < first < second < TRAIN["steps"]
    assert disturbed.done.code == run.done.code, disturbed.done.said
    assert "attached" in disturbed.done.err
    assert disturbed.attempts() == {"curate-map": 0, "curate": 0, "train": 3, "evaluate-map": 1, "evaluate": 1}


def test_training_that_was_killed_ends_with_the_same_bytes_and_the_same_report(run, disturbed):
    assert adapter_of(disturbed) == adapter_of(run)
    assert report_of(disturbed) == report_of(run)
    assert not half_written(disturbed.store)


def test_data_with_contradictions_taints_the_report_and_fails_the_gate(inputs, tmp_path):
    place = desk_in(tmp_path / "run", inputs, contradictions="keep")

    done = place.submit("--set", "train.steps=2")
    report = report_of(place)

    assert done.code == ExitCode.GATE_FAILED, done.said
    assert "gate failed: data_not_tainted" in done.out
    assert report["tainted"]
    assert report["verdict"]["passed"] is False
    assert checks_of(report)["data_not_tainted"] is False
    assert "never promoted" in (place.artifact("evaluate") / "report.html").read_text()
    assert place.run("promote").code != 0
    assert not (place.store / "models").exists()
