"""The command line and `operate` with the rights that the chart gives, against a real API server."""

from __future__ import annotations

import json
import signal

import pytest
from clerk import Clerk
from eventually import eventually
from operator_pages import page

pytestmark = pytest.mark.slow


@pytest.fixture
def submitter(plane, install, tmp_path):
    return Clerk(plane, install, tmp_path, "sue")


@pytest.fixture
def runner(plane, install, tmp_path):
    return Clerk(plane, install, tmp_path, "ron", TOUGE_STORE=f"file://{tmp_path}/store")


def test_doctor_finds_nothing_wrong_with_the_rights_of_a_runner(runner):
    code, findings = runner.findings()

    assert [f for f in findings.values() if not f["ok"]] == []
    assert code == 0


def test_doctor_tells_a_submitter_what_only_a_runner_may(submitter):
    code, findings = submitter.findings()

    assert [name for name, finding in findings.items() if not finding["ok"]] == ["right to run Jobs"]
    assert code == 10


def test_whoever_has_no_role_is_told_which_to_ask_for(plane, install, tmp_path):
    code, _, said = Clerk(plane, install, tmp_path, "stranger").run("list")

    assert code == 10
    assert "rbac.subjects.submitter" in said


def test_the_api_server_accepts_every_object_of_a_plan_and_keeps_none(runner, plane, install):
    code, said, beside = runner.run("plan", "recipe.yaml")

    assert code == 0, said + beside
    assert f"namespace {install} accepts 5 of 5 objects" in said
    assert plane.get("jobs", "--namespace", install)["items"] == []


def test_a_quota_without_room_is_told_and_is_no_fault_of_the_plan(runner, plane, install):
    none = {"spec": {"hard": {"count/jobs.batch": "0"}}, "metadata": {"name": "none"}}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota"} | none
    plane.kubectl("create", "--filename=-", "--namespace", install, given=quota)
    try:
        code, said, beside = eventually(lambda: (done := runner.run("plan", "recipe.yaml"))[1].count("quota") and done)
    finally:
        plane.kubectl("delete", "resourcequota", "none", "--namespace", install)

    assert code == 0, beside
    assert "accepts 0 of 5 objects" in said


def test_a_submitters_run_is_seen_through_also_past_an_api_server_that_dies(submitter, runner, plane, install):
    code, _, beside = submitter.run("submit", "recipe.yaml", "--detach")
    assert code == 0, beside
    operator = runner.begin("operate", "--port", "0")
    port = json.loads(operator.stderr.readline())["port"]
    jobs = lambda: plane.get("jobs", "--namespace", install)["items"]  # noqa: E731

    assert eventually(jobs)
    plane.kill_apiserver()
    assert eventually(lambda: "touge_reconcile_errors_total{" in page(port, "/metrics")[1])
    alive = page(port, "/healthz")[0]
    plane.restart_apiserver()
    submitter.run("submit", "recipe.yaml", "--detach", "--set", "train.steps=9")

    assert eventually(lambda: len(jobs()) == 2)
    operator.send_signal(signal.SIGTERM)
    _, log = operator.communicate(timeout=60)
    assert (alive, operator.returncode) == (200, 0)
    assert all(json.loads(line) for line in log.splitlines())
