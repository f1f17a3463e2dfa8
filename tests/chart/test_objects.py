"""What an install creates: names, labels, fields that the API knows, nothing beyond the namespace."""

from __future__ import annotations

import pytest
from api_fields import unknown_fields
from helm import CHART, EVERYTHING, TRIAL, find, helm, pod_templates, rendered, setting, template

from controller.cli.app import parse
from controller.cli.operate import Operate

TEMPLATES = {"touge-curate", "touge-train-full", "touge-train-lora", "touge-train-qlora", "touge-evaluate"}
#: A Job's name is its CronJob's and eleven characters more
#: (https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/).
LONGEST_CRONJOB = 52


@pytest.fixture(params=["trial", "everything"])
def objects(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("values", [TRIAL, EVERYTHING], ids=["trial", "everything"])
def test_lint_finds_nothing(values):
    done = helm("lint", "--strict", str(CHART), values=values)

    assert done.returncode == 0, done.stdout + done.stderr


def test_defaults_pass_lint_before_anything_is_set():
    assert helm("lint", "--strict", str(CHART)).returncode == 0


def test_every_field_is_one_that_the_api_knows(objects):
    assert [place for item in objects for place in unknown_fields(item)] == []


def test_a_misspelt_field_would_be_seen(trial):
    pod = {"spec": {"containers": [{"name": "stage", "imagePullPolcy": "Never"}]}}
    job = {"apiVersion": "batch/v1", "kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": pod}}}}

    assert unknown_fields(job) == ["CronJob.spec.jobTemplate.spec.template.spec.containers.0.imagePullPolcy"]


def test_names_are_unique_and_begin_with_the_release(objects):
    names = [(item["kind"], item["metadata"]["name"]) for item in objects]

    assert len(names) == len(set(names))
    assert [name for kind, name in names if not name.startswith("touge-") and not kind.startswith("Cluster")] == []


@pytest.mark.parametrize("release", ["touge", "a", "x" * 53])
def test_a_cronjobs_name_leaves_room_for_its_jobs(release):
    names = [item["metadata"]["name"] for item in rendered(TRIAL, release=release) if item["kind"] == "CronJob"]

    assert max(len(name) for name in names) <= LONGEST_CRONJOB


def test_the_first_part_of_every_name_can_be_given():
    names = {item["metadata"]["name"].partition("-")[0] for item in rendered(setting("fullnameOverride", "bends"))}

    assert names == {"bends"}


def test_a_release_of_another_name_still_says_what_it_is():
    names = {item["metadata"]["name"] for item in rendered(TRIAL, release="tokyo")}

    assert "tokyo-touge-train-lora" in names


def test_nothing_lies_outside_the_namespace(trial):
    assert {item["metadata"].get("namespace") for item in trial} == {"roads"}
    assert [item["kind"] for item in trial if item["kind"].startswith("Cluster")] == []


def test_only_reading_nodes_reaches_beyond_the_namespace_and_only_when_asked_for(everything):
    beyond = [item for item in everything if "namespace" not in item["metadata"]]

    assert [item["kind"] for item in beyond] == ["ClusterRole", "ClusterRoleBinding"]
    assert beyond[0]["rules"] == [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}]
    assert {subject["name"] for subject in beyond[1]["subjects"]} == {"model-team", "ci", "kenji", "touge-controller"}


def test_no_custom_resource_is_defined_and_no_job_is_part_of_the_release(objects):
    assert {item["kind"] for item in objects} & {"CustomResourceDefinition", "Job"} == set()


def test_the_only_hook_is_the_test_which_goes_when_it_succeeds(objects):
    hooks = [item for item in objects if "helm.sh/hook" in item["metadata"].get("annotations", {})]

    assert [(item["kind"], item["metadata"]["name"]) for item in hooks] == [("Pod", "touge-test")]
    annotations = hooks[0]["metadata"]["annotations"]
    assert annotations["helm.sh/hook"] == "test"
    assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"


def test_the_test_asks_the_doctor(trial):
    container = find(trial, "Pod", "touge-test")["spec"]["containers"][0]

    assert [*container["command"], *container["args"]] == ["python", "-m", "controller", "doctor"]


def test_the_controller_is_probed_where_it_answers(trial):
    pod = find(trial, "Deployment", "touge-controller")["spec"]["template"]["spec"]
    container, service = pod["containers"][0], find(trial, "Service", "touge-controller")
    verb = parse(container["args"])

    assert isinstance(verb, Operate)
    assert [{"name": "http", "containerPort": verb.port}] == container["ports"]
    assert ("/healthz", "http") == tuple(container["livenessProbe"]["httpGet"][key] for key in ("path", "port"))
    assert ("/readyz", "http") == tuple(container["readinessProbe"]["httpGet"][key] for key in ("path", "port"))
    assert "http" == service["spec"]["ports"][0]["targetPort"]


@pytest.mark.parametrize("enabled", [True, False])
def test_retraining_leaves_its_run_to_the_controller_or_stays_with_it(enabled):
    objects = rendered(setting("controller.enabled", enabled))
    job = find(objects, "CronJob", "touge-retrain")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    verb = parse(job["containers"][0]["args"])

    assert (verb.detach, verb.wait) == (enabled, not enabled)


def test_common_labels_are_on_every_object_and_pod(everything):
    bare = [item["metadata"]["name"] for item in everything if "team" not in item["metadata"]["labels"]]
    pods = {owner: pod["metadata"]["labels"]["team"] for owner, pod in pod_templates(everything).items()}

    assert bare == []
    assert set(pods.values()) == {"perception", "training"}


def test_a_trial_has_exactly_what_it_needs(trial):
    assert sorted({item["kind"] for item in trial}) == [
        "CronJob", "Deployment", "Pod", "Role", "RoleBinding", "Secret", "Service", "ServiceAccount",
    ]  # fmt: skip


def test_every_stage_and_method_has_its_template(trial):
    found = {item["metadata"]["name"] for item in trial if item["kind"] == "CronJob"}

    assert found == TEMPLATES | {"touge-retrain"}


@pytest.mark.parametrize("version", ["1.31.0", "1.33.4-eks-2048eb8", "1.37.0-gke.100"])
def test_kubernetes_from_1_31_on_is_accepted(version):
    assert template(TRIAL, "--kube-version", version).returncode == 0


def test_an_older_kubernetes_is_refused():
    assert "incompatible with Kubernetes" in template(TRIAL, "--kube-version", "1.30.9").stderr
