"""`submit --wait` in a shell script: its exit code is what became of the run (docs/ci/README.md)."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from checkout_pods import FAKE_STAGE, RUNNER, VALUES, desk_of, install_checkout
from cluster_store import store_of
from eventually import eventually
from whole_run import finished

SCRIPT = """#!/bin/sh
python -m controller submit recipe.yaml --wait "$@"
code=$?
case $code in
  0) echo "the gate is passed" ;;
  20) echo "the gate is not passed" ;;
  40) echo "failed or cancelled" ;;
  41) echo "it goes on" ;;
  42) echo "no node fits" ;;
  *) echo "not a word about $code" ;;
esac
exit $code
"""


class Person:
    """Somebody whose recipes' stages do as they are told, and who calls the command line from a script."""

    def __init__(self, plane, namespace, store, folder) -> None:
        self.scripts = folder / "scripts"
        recipe = {
            "apiVersion": "touge/v1",
            "name": "bend",
            "base": "file://./base",
            "curate": {"drives": [{"format": "jsonl", "uri": "file://./drives"}]},
            "train": {"method": "lora", "steps": 4},
            "resources": {"gpus": 0},
        }
        for name, text in {"base/config.json": "{}", "drives/a.jsonl": "{}\n", "submit.sh": SCRIPT}.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        self.desk = desk_of(plane, namespace, RUNNER, folder, recipe, **store.environ)
        self.desk.variables["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def tell(self, verdict: object = True, **stages: str) -> None:
        """Tell the report's verdict, and what stages do at each attempt."""
        for path in self.scripts.iterdir():
            path.unlink()
        (self.scripts / "verdict").write_text(json.dumps(verdict))
        for stage, words in stages.items():
            (self.scripts / f"{stage}.plan").write_text(words)

    def script(self, *words: str) -> tuple[int, str]:
        """Run the script, and return its exit code and its own last line."""
        done = finished([*self.desk.within, "sh", "submit.sh", *words], self.desk.folder, self.desk.variables, 240)
        lines = done.out.splitlines()
        return done.code, lines[-1] if lines else done.err


@pytest.fixture(scope="module")
def person(plane, open_namespace, tmp_path_factory):
    folder = tmp_path_factory.mktemp("person")
    (folder / "scripts").mkdir(mode=0o755)
    with store_of(plane, open_namespace) as store:
        values = VALUES | {"storage": store.values}
        install_checkout(plane, open_namespace, values, command=FAKE_STAGE, scripts=folder / "scripts")
        yield Person(plane, open_namespace, store, folder)


@pytest.mark.parametrize(
    ("seed", "verdict", "code", "said"),
    [
        (1, True, 0, "the gate is passed"),
        (2, False, 20, "the gate is not passed"),
        (3, None, 20, "the gate is not passed"),
    ],
)
def test_a_run_that_succeeds_ends_with_what_its_gate_says(person, seed, verdict, code, said):
    person.tell(verdict)

    assert person.script("--set", f"evaluate.seed={seed}") == (code, said)


def test_a_run_that_fails_ends_with_40(person):
    person.tell(train="fail:10")

    assert person.script("--set", "train.steps=40") == (40, "failed or cancelled")


def test_a_run_that_somebody_cancels_ends_with_40(person):
    person.tell(train="hang")
    words = ("submit.sh", "--set", "train.steps=41")
    waiting = person.desk.begin_command("sh", *words)

    assert eventually(lambda: train_of(person)["state"] == "Running", 120)
    person.desk.run("cancel")
    out, err = waiting.communicate(timeout=120)

    assert (waiting.returncode, out.splitlines()[-1]) == (40, "failed or cancelled"), err


def train_of(person):
    return next(stage for stage in person.desk.status()["stages"] if stage["name"] == "train")


def test_a_run_that_is_not_over_in_time_ends_with_41_and_goes_on(person):
    person.tell(train="hang")

    ended = person.script("--set", "train.steps=42", "--timeout", "30")
    status = person.desk.status()
    person.desk.run("cancel")

    assert ended == (41, "it goes on")
    assert status["state"] == "Running"


def test_a_run_that_no_node_fits_ends_with_42(person):
    person.tell()
    huge = ("--set", "resources.gpus=1", "--set", "resources.gpu_memory=200GB")

    ended = person.script("--set", "train.steps=43", *huge, "--timeout", "60")
    person.desk.run("cancel")

    assert ended == (42, "no node fits")
