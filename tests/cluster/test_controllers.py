"""What controllers make of exit codes, and what becomes of a run whose controllers are killed, in real pods."""

from __future__ import annotations

import contextlib
import itertools
import json

import psutil
import pytest
from cluster_person import person_on
from leftovers import leftovers

from controller.retries import Policy

pytestmark = pytest.mark.timeout(900)

#: A stage that fails by no fault of its own is tried again after so many seconds, and then after twice as many.
FIRST_WAIT_S = Policy().backoff_s


@pytest.fixture(scope="module")
def person(plane, open_namespace, tmp_path_factory):
    with person_on(plane, open_namespace, tmp_path_factory.mktemp("person")) as person:
        person.desk.patience_s = 600
        yield person


def test_a_stage_that_ends_with_30_twice_is_tried_again_after_growing_waits(person):
    person.tell(True, train="fail:30 fail:30 ok")

    done = person.desk.submit("--wait", "--set", "train.steps=50")
    tries = [e for e in person.desk.status()["executions"] if e["task"]["stage"] == "train"]
    waits_s = [(after["started_us"] - before["ended_us"]) / 1e6 for before, after in itertools.pairwise(tries)]

    assert done.code == 0, done.said
    assert [e["exit_code"] for e in tries] == [30, 30, 0]
    assert waits_s[0] >= FIRST_WAIT_S
    assert waits_s[1] >= 2 * FIRST_WAIT_S


def test_a_stage_that_ends_with_10_fails_its_run_at_once_with_the_reason(person):
    person.tell(True, train="fail:10 ok")

    done = person.desk.submit("--wait", "--set", "train.steps=51")
    train = person.stage("train")

    assert done.code == 40, done.said
    assert (train["state"], train["reason"], train["attempts"]) == ("Failed", "InvalidRecipe", 1)
    assert "InvalidRecipe" in done.said


def test_a_controller_that_is_killed_at_each_change_of_a_stages_state_costs_nothing(person):
    person.tell(True)
    before = {run["run"] for run in json.loads(person.desk.run("list", "-o", "json").out)}
    words = ("submit", "recipe.yaml", "--wait", "--set", "curate.windows.stride_s=2.5")

    seen: list[object] = [None]
    submit = person.begin(*words)
    while changed := change(person, before, seen, submit):
        seen.append(changed)
        killed(submit)
        submit = person.begin(*words)
    out, err = submit.communicate()

    assert submit.returncode == 0, out + err
    assert len(seen) > len(person.desk.attempts()), "it was killed in each stage"
    assert set(person.desk.attempts().values()) == {1}
    assert leftovers(person.plane, person.namespace, person.store.folder) == []


def killed(submit):
    """Kill a submission, unless it has just ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in psutil.Process(submit.pid).children():
            process.kill()
    submit.communicate()


def change(person, before, seen, submit):
    """Return the states of a run's stages as soon as they are new; None when its submission has ended."""
    while submit.poll() is None:
        done = person.desk.run("status", "-o", "json")
        status = json.loads(done.out) if done.code == 0 else {"run": ""}
        states = [(stage["name"], stage["state"]) for stage in status.get("stages", ())]
        if status["run"] not in {"", *before} and states not in seen:
            return states
    return None
