"""The command line with --runner kubernetes: an API server on loopback that keeps objects and runs nothing."""

from __future__ import annotations

import json

import pytest
import scripted_api
from object_api import at_a_laptop, chart_installed

from controller.cli.app import main
from controller.state import Reason, RunStatus, State
from touge.contract.report import Verdict

HERE = "/api/v1/namespaces/roads"
JOBS = "/apis/batch/v1/namespaces/roads/jobs/"


@pytest.fixture
def objects():
    with chart_installed() as objects:
        yield objects


@pytest.fixture
def api(objects, tmp_path, monkeypatch):
    with at_a_laptop(tmp_path, objects, monkeypatch) as api:
        yield api


@pytest.fixture
def touge(api, capsys):
    """Run a command line; return its exit code, its output and what it said beside it."""

    def run(*words):
        code = main(words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The stages' store, reached from here."""
    monkeypatch.setenv("TOUGE_STORE", f"file://{tmp_path}/store")


def with_controller(objects, *, ready=True, release="touge", **metadata):
    labels = {
        "app.kubernetes.io/name": "touge",
        "app.kubernetes.io/component": "controller",
        "app.kubernetes.io/instance": release,
    }
    conditions = [{"type": "Ready", "status": str(ready)}]
    objects.put(
        f"{HERE}/pods/c", {"metadata": {"name": "c", "labels": labels} | metadata, "status": {"conditions": conditions}}
    )


def made(objects, prefix=JOBS):
    return sorted(path for path in objects.known if path.startswith(prefix))


def record(objects):
    (path,) = (path for path in objects.known if "/configmaps/bend-" in path)
    return path


def ended(objects, **status):
    """Write a run's end into its record, as a controller in the cluster would."""
    path = record(objects)
    text = RunStatus(ended_us=1, reason=Reason.COMPLETED, **status).to_json()
    known = objects.known[path]
    labels = known["metadata"]["labels"] | {"touge/over": "true", "touge/state": status["state"]}
    objects.put(
        path, known | {"data": known["data"] | {"status": text}, "metadata": known["metadata"] | {"labels": labels}}
    )


def test_submit_leaves_the_run_to_a_controller_that_is_ready(touge, objects):
    with_controller(objects)

    code, said, _ = touge("submit", "recipe.yaml")

    assert code == 0
    assert "pod c in namespace roads sees it through" in said
    assert record(objects)
    assert made(objects) == []


@pytest.mark.parametrize(
    "controller", [{"ready": False}, {"release": "another"}, {"deletionTimestamp": "2026-11-27T04:00:00Z"}]
)
def test_a_controller_that_is_not_ready_not_ours_or_on_its_way_out_is_none(touge, objects, controller, monkeypatch):
    monkeypatch.setenv("TOUGE_RELEASE", "touge")
    with_controller(objects, **controller)

    code, _, said = touge("submit", "recipe.yaml", "--timeout", "0.1")

    assert code == 41
    assert "no controller is ready in namespace roads" in said


def test_submit_detach_without_a_controller_waits_for_the_next(touge, objects):
    code, said, _ = touge("submit", "recipe.yaml", "--detach")

    assert code == 0
    assert "the next controller that is ready in namespace roads" in said
    assert record(objects)


def test_submit_wait_reconciles_by_itself_where_it_reaches_the_store(touge, objects, store):
    with_controller(objects)

    code, _, said = touge("submit", "recipe.yaml", "--wait", "--timeout", "0.1", "--debug")
    touge("submit", "recipe.yaml", "--wait", "--timeout", "0.1")

    assert code == 41, said
    assert len(made(objects)) == 1
    assert "curate-map" in made(objects)[0]


def test_submitting_the_same_again_attaches(touge, objects):
    with_controller(objects)
    touge("submit", "recipe.yaml")

    code, _, said = touge("submit", "recipe.yaml", "-o", "json")

    assert code == 0
    assert "attached" in said
    assert record(objects)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ({"state": State.SUCCEEDED, "verdict": Verdict(passed=True, checks=())}, 0),
        ({"state": State.SUCCEEDED, "verdict": Verdict(passed=False, checks=())}, 20),
        ({"state": State.SUCCEEDED, "verdict": Verdict(passed=None, checks=())}, 20),
        ({"state": State.FAILED}, 40),
    ],
)
def test_attaching_to_a_finished_run_ends_with_its_exit_code_without_the_store(touge, objects, status, code):
    with_controller(objects)
    touge("submit", "recipe.yaml")
    ended(objects, **status)

    assert touge("submit", "recipe.yaml")[0] == code


def test_a_run_that_failed_is_told_as_json_too(touge, objects):
    with_controller(objects)
    touge("submit", "recipe.yaml")
    ended(objects, state=State.FAILED)

    code, said, beside = touge("submit", "recipe.yaml", "-o", "json")

    assert (code, json.loads(said)["state"]) == (40, "Failed")
    assert "retry bend-" in beside


def test_watch_tells_how_a_run_ended_as_json(touge, objects):
    with_controller(objects)
    touge("submit", "recipe.yaml")
    ended(objects, state=State.SUCCEEDED, verdict=Verdict(passed=False, checks=()))

    code, said, _ = touge("watch", "-o", "json")

    assert (code, json.loads(said)["exit_code"]) == (20, 20)


def test_list_and_status_need_the_api_server_alone(touge, objects):
    with_controller(objects)
    touge("submit", "recipe.yaml")

    listed = json.loads(touge("list", "-o", "json")[1])
    status = json.loads(touge("status", "-o", "json")[1])

    assert [run["state"] for run in listed] == ["Queued"]
    assert (status["state"], status["attended"]) == ("Queued", True)


def test_status_says_that_a_run_waits_for_the_controller_to_see_it(touge, objects):
    touge("submit", "recipe.yaml", "--detach")

    assert "waits for the controller in the cluster to see it" in touge("status")[1]


def test_the_namespace_of_the_command_line_wins(touge, api, monkeypatch):
    monkeypatch.setenv("TOUGE_NAMESPACE", "of-the-environment")

    touge("list", "--namespace", "valley")

    assert {call.path for call in api.calls} == {"/api/v1/namespaces/valley/configmaps"}


def test_an_unknown_context_is_told_with_those_that_are(touge):
    code, _, said = touge("list", "--context", "there")

    assert code == 10
    assert "it has here" in said


def test_a_runner_that_is_none_is_refused_with_those_that_are(touge, monkeypatch):
    monkeypatch.setenv("TOUGE_RUNNER", "nomad")

    code, _, said = touge("list")

    assert code == 10
    assert "TOUGE_RUNNER: given 'nomad'" in said
    assert "'kubernetes'" in said


def test_plan_asks_the_cluster_and_makes_nothing(touge, objects, api):
    before = dict(objects.known)

    code, said, _ = touge("plan", "recipe.yaml")

    sent = [call.path.rpartition("/")[2] for call in api.calls if call.query.get("dryRun") == "All"]
    assert (code, objects.known) == (0, before)
    assert sent.count("jobs") == 5
    assert f"namespace roads accepts {len(sent)} of {len(sent)} objects" in said
    assert "24 GB" in said


def test_plan_says_what_the_cluster_refuses_and_ends_with_10(touge, objects):
    objects.refuses["Job"] = "hostPath volumes are not allowed"

    code, said, _ = touge("plan", "recipe.yaml")

    assert code == 10
    assert "hostPath volumes are not allowed" in said


def test_plan_without_the_right_to_make_jobs_says_so_and_is_no_failure(touge, objects, api):
    def script(call):
        return scripted_api.status(403, "Forbidden", "not yours") if call.method == "POST" else objects(call)

    api.script = script
    code, said, _ = touge("plan", "recipe.yaml")

    assert code == 0
    assert "rbac.subjects.runner" in said


def test_plan_tells_what_has_changed_since_the_last_run_of_the_name(touge, objects):
    with_controller(objects)
    touge("submit", "recipe.yaml")

    said = touge("plan", "recipe.yaml", "--set", "train.steps=9")[1]

    assert "train.steps: 4 -> 9" in said


def test_plan_renders_from_the_clusters_own_templates(touge):
    code, said, _ = touge("plan", "recipe.yaml", "--render", "-o", "json")

    assert code == 0
    assert {"Job"} <= {item["kind"] for item in json.loads(said)}


def test_operate_without_a_store_says_what_is_missing(touge):
    code, _, said = touge("operate", "--port", "0")

    assert code == 10
    assert "TOUGE_STORE" in said
