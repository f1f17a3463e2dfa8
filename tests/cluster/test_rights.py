"""The chart's roles against the API server's audit log: what they grant is what is used, verb for verb."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from checkout_pods import RUNNER, SUBMITTER, desk_of
from cluster_person import RECIPE, person_on
from eventually import PATIENCE_S, eventually

pytestmark = pytest.mark.timeout(900)

#: Starts an attempt of training, as a controller does that does not know whether another one has.
START = """
import sys
from controller.place import in_cluster
from controller.runners.port import StartRequest
from controller.settings import read_settings
from controller.state import Task
desk = in_cluster(read_settings({}), lambda: 0).desk
plan = desk.records.read(sys.argv[1]).spec.plan
desk.runner.start(StartRequest(plan, Task(stage="train"), 1, ""))
"""
TWO_NODES = ("--set", "resources.nodes=2", "--set", "resources.gpus=1", "--set", "resources.gpu_memory=16GB")
#: Granted to everybody, or by the ClusterRole of rbac.readNodes.
BEYOND = {("create", "selfsubjectaccessreviews"), ("list", "nodes")}


@pytest.fixture(scope="module")
def used(plane, open_namespace, tmp_path_factory):
    """Let people and controllers do all that they do, and return which verbs each was allowed, by user."""
    with person_on(plane, open_namespace, tmp_path_factory.mktemp("ron")) as ron:
        sue = desk_of(plane, open_namespace, SUBMITTER, ron.folder, RECIPE)
        of_a_run(ron, sue)
        of_a_run_that_waits(ron, sue)
        of_two_nodes(ron, sue)
        of_a_full_namespace(ron, sue)
    return {user: allowed(plane, user, open_namespace) for user in (SUBMITTER, RUNNER)}


def of_a_run(ron, sue):
    """A submitter's run from its plan to its end; the controller of all runs has the runner's rights."""
    ron.tell(verdict=True, **{"curate-map": "hang"})
    with ron.operating():
        sue.run("doctor")
        sue.run("plan", "recipe.yaml")
        assert sue.run("submit", "recipe.yaml", "--detach").code == 0
        assert eventually(lambda: "waiting" in sue.run("logs").out, PATIENCE_S)
        sue.cancel()
        assert eventually(lambda: sue.run("watch", "--timeout", "1").code == 40, PATIENCE_S)
    assert sue.run("delete", "--all").code == 0


def of_a_run_that_waits(ron, sue):
    """A training that no node fits, of which a submitter who reaches the store asks why."""
    huge = ("--set", "resources.gpus=1", "--set", "resources.gpu_memory=200GB")
    assert sue.run("submit", "recipe.yaml", "--detach", *huge).code == 0
    assert started(ron) == ""
    assert eventually(lambda: ron.get("pods", "train"), PATIENCE_S)
    told = replace(sue, variables=ron.desk.variables | sue.variables).run("status")
    assert "train" in told.out
    ron.desk.cancel()
    assert ron.desk.run("watch").code == 40


def of_two_nodes(ron, sue):
    """A training of two pods that two controllers start, and that its owner removes with its pods."""
    assert sue.run("submit", "recipe.yaml", "--detach", "--set", "train.steps=2", *TWO_NODES).code == 0
    for _ in range(2):
        assert started(ron) == ""
    assert eventually(lambda: len(ron.get("pods", "train")) == 2, PATIENCE_S)
    ron.desk.cancel()
    assert ron.desk.run("watch").code == 40
    assert ron.desk.run("delete", "--all").code == 0


def of_a_full_namespace(ron, sue):
    """The same where no Job has room, so that what was made before it is taken back."""
    ron.kubectl("create", "quota", "none", "--hard=count/jobs.batch=0")
    assert sue.run("submit", "recipe.yaml", "--detach", "--set", "train.steps=3", *TWO_NODES).code == 0
    assert eventually(lambda: "exceeded quota" in started(ron))
    assert ron.get("services", "train") == []


def started(ron):
    """Start the training of the newest run as the runner, and return the error's words."""
    done = ron.shell(sys.executable, "-c", START, ron.desk.status()["run"])
    return done.err if done.code else ""


def allowed(plane, user, namespace):
    """Return the verbs that a user was allowed, by kind."""
    found = set()
    for event in plane.audited():
        what = event.get("objectRef") or {}
        mine = event.get("user", {}).get("username") == user and what.get("namespace", namespace) == namespace
        if mine and event.get("annotations", {}).get("authorization.k8s.io/decision") == "allow" and "resource" in what:
            found.add((event["verb"], "/".join(filter(None, (what["resource"], what.get("subresource"))))))
    return found - BEYOND


def granted(plane, role, namespace):
    rules = plane.get("role", f"touge-{role}", "--namespace", namespace)["rules"]
    return {(verb, resource) for rule in rules for verb in rule["verbs"] for resource in rule["resources"]}


def test_a_submitter_is_granted_what_it_uses_and_nothing_else(plane, open_namespace, used):
    assert granted(plane, "submitter", open_namespace) == used[SUBMITTER]


def test_a_runner_is_granted_what_it_and_a_submitter_use_and_nothing_else(plane, open_namespace, used):
    assert granted(plane, "runner", open_namespace) == used[RUNNER] | used[SUBMITTER]
