"""`submit --wait` in a shell script: its exit code is what became of the run (docs/ci/README.md)."""

from __future__ import annotations

import pytest
from cluster_person import person_on
from eventually import eventually

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


@pytest.fixture(scope="module")
def person(plane, open_namespace, tmp_path_factory):
    with person_on(plane, open_namespace, tmp_path_factory.mktemp("person")) as person:
        (person.folder / "submit.sh").write_text(SCRIPT)
        yield person


def ended(person, *words):
    """Run the script, and return its exit code and its own last line."""
    done = person.shell("sh", "submit.sh", *words)
    return done.code, (done.out.splitlines() or [done.err])[-1]


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

    assert ended(person, "--set", f"evaluate.seed={seed}") == (code, said)


def test_a_run_that_fails_ends_with_40(person):
    person.tell(verdict=True, train="fail:10")

    assert ended(person, "--set", "train.steps=40") == (40, "failed or cancelled")


def test_a_run_that_somebody_cancels_ends_with_40(person):
    person.tell(verdict=True, train="hang")
    waiting = person.desk.begin_command("sh", "submit.sh", "--set", "train.steps=41")

    assert eventually(lambda: person.stage("train")["state"] == "Running", 120)
    person.desk.cancel()
    out, err = waiting.communicate(timeout=120)

    assert (waiting.returncode, out.splitlines()[-1]) == (40, "failed or cancelled"), err


def test_a_run_that_is_not_over_in_time_ends_with_41_and_goes_on(person):
    person.tell(verdict=True, train="hang")

    told = ended(person, "--set", "train.steps=42", "--timeout", "30")
    status = person.desk.status()
    person.desk.cancel()

    assert told == (41, "it goes on")
    assert status["state"] == "Running"


def test_a_run_that_no_node_fits_ends_with_42(person):
    person.tell(verdict=True)
    huge = ("--set", "resources.gpus=1", "--set", "resources.gpu_memory=200GB")

    told = ended(person, "--set", "train.steps=43", *huge, "--timeout", "60")
    person.desk.cancel()

    assert told == (42, "no node fits")
