"""Who the pods are, what they may do, and where credentials are."""

from __future__ import annotations

import re

import pytest
from helm import EVERYTHING, TRIAL, find, pod_templates, rendered, setting, stage_pod, variables
from pod_security import violations

STAGES = ("curate", "train-full", "train-lora", "train-qlora", "evaluate")


@pytest.fixture(params=["trial", "everything"])
def objects(request):
    return request.getfixturevalue(request.param)


def test_every_pod_passes_pod_security_restricted_with_a_read_only_root(objects):
    found = {owner: violations(pod["spec"]) for owner, pod in pod_templates(objects).items()}

    assert {owner: wrong for owner, wrong in found.items() if wrong} == {}
    assert len(found) >= len(STAGES) + 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hostNetwork": True}, "hostNetwork"),
        ({"volumes": [{"name": "disk", "hostPath": {"path": "/"}}]}, "volume disk is a {'hostPath'}"),
        ({"securityContext": {}}, "stage: root"),
    ],
)
def test_a_weaker_pod_would_be_seen(trial, change, said):
    assert said in violations(stage_pod(trial, "curate") | change)


def test_every_container_says_what_it_needs_and_may_use_at_most(objects):
    resources = [pod["spec"]["containers"][0]["resources"] for pod in pod_templates(objects).values()]

    assert all({"cpu", "memory"} <= set(item["requests"]) and "memory" in item["limits"] for item in resources)


def test_stages_get_no_token_and_the_controller_does(trial):
    tokens = {owner: pod["spec"]["automountServiceAccountToken"] for owner, pod in pod_templates(trial).items()}

    assert {owner for owner, token in tokens.items() if token} == {
        "Deployment/touge-controller", "CronJob/touge-retrain", "Pod/touge-test",
    }  # fmt: skip
    assert not any(item.get("automountServiceAccountToken") for item in trial if item["kind"] == "ServiceAccount")


def test_the_stages_account_has_no_right(everything):
    bound = [
        subject["name"]
        for item in everything
        if item["kind"].endswith("RoleBinding")
        for subject in item["subjects"]
        if subject["kind"] == "ServiceAccount"
    ]

    assert "touge-controller" in bound
    assert "touge-jobs" not in bound


def test_an_account_that_is_there_already_is_used_and_not_made():
    values = setting("serviceAccounts.jobs", {"create": False, "name": "gpu-pods"})
    objects = rendered(values)

    assert stage_pod(objects, "curate")["serviceAccountName"] == "gpu-pods"
    assert [item["metadata"]["name"] for item in objects if item["kind"] == "ServiceAccount"] == ["touge-controller"]


def test_a_cloud_identity_is_an_annotation_of_the_account(everything):
    account = find(everything, "ServiceAccount", "touge-jobs")

    assert "iam.gke.io/gcp-service-account" in account["metadata"]["annotations"]


def test_with_a_cloud_identity_no_pod_holds_a_key():
    values = TRIAL | {"storage": {"uri": "s3://drives/touge", "credentials": "identity"}}

    names = {name for pod in pod_templates(rendered(values)).values() for name in variables(pod["spec"])}

    assert not [name for name in names if name.startswith("AWS_")]


def test_stages_and_controller_have_credentials_of_their_own(everything):
    jobs, controller = (variables(stage_pod(everything, name)) for name in ("train-lora", "retrain"))

    assert jobs["AWS_SECRET_ACCESS_KEY"]["secretKeyRef"] == {"name": "s3-jobs", "key": "AWS_SECRET_ACCESS_KEY"}
    assert controller["AWS_ACCESS_KEY_ID"]["secretKeyRef"] == {"name": "s3-controller", "key": "AWS_ACCESS_KEY_ID"}
    assert jobs["HF_TOKEN"]["secretKeyRef"] == {"name": "hub", "key": "HF_TOKEN"}


def test_no_secret_is_made_but_the_trials_own(trial, everything):
    assert [item["metadata"]["name"] for item in trial if item["kind"] == "Secret"] == ["touge-store"]
    assert [item for item in everything if item["kind"] == "Secret"] == []


def test_the_users_roles_are_bound_to_whom_the_values_name(everything):
    bindings = {item["metadata"]["name"]: item for item in everything if item["kind"] == "RoleBinding"}

    assert bindings["touge-submitter"]["subjects"] == [
        {"kind": "Group", "name": "model-team", "apiGroup": "rbac.authorization.k8s.io"},
        {"kind": "ServiceAccount", "name": "ci", "namespace": "roads"},
    ]
    assert [subject["name"] for subject in bindings["touge-runner"]["subjects"]] == ["touge-controller", "kenji"]


def test_nobody_but_the_controller_has_a_role_until_somebody_is_named(trial):
    assert [item["metadata"]["name"] for item in trial if item["kind"] == "RoleBinding"] == ["touge-runner"]


def may(objects, role):
    rules = find(objects, "Role", f"touge-{role}")["rules"]
    return {(verb, resource) for rule in rules for verb in rule["verbs"] for resource in rule["resources"]}


def test_a_submitter_writes_run_records_and_reads_the_rest(trial):
    writes = {right for right in may(trial, "submitter") if right[0] not in {"get", "list", "watch"}}

    assert writes == {("create", "configmaps"), ("patch", "configmaps"), ("delete", "configmaps")}


def test_a_runner_may_do_all_that_a_submitter_may_and_make_jobs(trial):
    more = may(trial, "runner") - may(trial, "submitter")

    assert may(trial, "submitter") < may(trial, "runner")
    assert {("create", "jobs"), ("delete", "jobs"), ("create", "services")} <= more


def test_no_role_has_a_wildcard_or_reads_secrets(everything):
    rights = may(everything, "runner") | may(everything, "submitter")

    assert not [right for right in rights if "*" in right or "secrets" in right]


def test_kueues_workloads_are_read_only_where_a_queue_is_named(trial, everything):
    assert ("list", "workloads") not in may(trial, "submitter")
    assert ("list", "workloads") in may(everything, "submitter")


def test_certificates_of_ones_own_reach_every_pod_of_ours(everything):
    pods = {owner: pod["spec"] for owner, pod in pod_templates(everything).items()}
    paths = {owner: variables(pod)["AWS_CA_BUNDLE"] for owner, pod in pods.items()}
    folders = {mount["mountPath"] for pod in pods.values() for mount in pod["containers"][0]["volumeMounts"]}

    assert set(paths.values()) == {"/etc/touge/ca/bundle.crt"}
    assert "/etc/touge/ca" in folders


def test_images_come_from_the_mirror_with_its_pull_secret(everything):
    for owner, pod in pod_templates(everything).items():
        assert pod["spec"]["containers"][0]["image"].startswith("mirror.example.com/touge/"), owner
        assert pod["spec"]["imagePullSecrets"] == [{"name": "mirror"}], owner


def test_images_are_of_the_charts_version_unless_a_digest_is_given(trial):
    digest = f"sha256:{'a' * 64}"
    pinned = rendered(setting("images.train.digest", digest))

    assert re.fullmatch(r"touge/train:\d+\.\d+\.\d+", stage_pod(trial, "train-lora")["containers"][0]["image"])
    assert stage_pod(pinned, "train-lora")["containers"][0]["image"] == f"touge/train@{digest}"


def test_user_ids_beyond_a_million_stay_whole_numbers():
    pod = stage_pod(rendered(setting("security.runAsUser", 1000680000, EVERYTHING)), "evaluate")

    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 1000680000
