"""What is wrong when somebody submits to a cluster: one clear error, the right exit code, nothing made by half."""

from __future__ import annotations

import json

import pytest
from checkout_pods import token_kubeconfig
from clerk import Clerk
from eventually import eventually

from touge.contract.exit_codes import ExitCode

pytestmark = pytest.mark.slow

#: Refuses Jobs without the label `team`, as platforms' policies do.
POLICY = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicy",
    "metadata": {"name": "teams"},
    "spec": {
        "matchConstraints": {
            "resourceRules": [
                {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}
            ]
        },
        "validations": [{"expression": "'team' in object.metadata.labels", "message": "a Job names its team"}],
    },
}
BINDING = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicyBinding",
    "metadata": {"name": "teams"},
    "spec": {"policyName": "teams", "validationActions": ["Deny"]},
}


@pytest.fixture
def ron(plane, install, tmp_path):
    return Clerk(plane, install, tmp_path, "ron", TOUGE_STORE=f"file://{tmp_path}/store")


@pytest.fixture
def made(plane, install):
    """Return a function that tells names of run records and Jobs that are there and were not before."""

    def names():
        wanted = "configmaps --selector=touge/record", "jobs"
        return {
            item["metadata"]["name"]
            for words in wanted
            for item in plane.get(*words.split(), "--namespace", install)["items"]
        }

    before = names()
    return lambda: names() - before


def without_kubeconfig(clerk, _plane):
    clerk.environ |= {"KUBECONFIG": "", "HOME": str(clerk.folder)}


def with_a_token_that_ended(clerk, plane):
    clerk.environ["KUBECONFIG"] = str(token_kubeconfig(plane, clerk.folder / "old", token="ended"))


def as_a_stranger(clerk, plane):
    clerk.environ["KUBECONFIG"] = str(plane.kubeconfig_of("stranger"))


def in_no_namespace(clerk, plane):
    clerk.environ |= {"TOUGE_NAMESPACE": "nowhere", "KUBECONFIG": str(plane.kubeconfig)}


def where_no_chart_is(clerk, plane):
    clerk.environ |= {"TOUGE_NAMESPACE": plane.restricted_namespace(), "KUBECONFIG": str(plane.kubeconfig)}


def with_drives_for_a_novel(clerk, _plane):
    folders = [f"{'x' * 200}{number}" for number in range(4000)]
    for folder in folders:
        (clerk.folder / folder).mkdir()
        (clerk.folder / folder / "a.jsonl").write_text("{}\n")
    drives = [{"format": "jsonl", "uri": f"file://./{folder}"} for folder in folders]
    recipe = {"apiVersion": "touge/v1", "name": "bend", "base": "file://./base", "curate": {"drives": drives}}
    (clerk.folder / "recipe.yaml").write_text(json.dumps(recipe | {"train": {"method": "lora"}}))


def with_a_name_that_is_no_label(clerk, _plane):
    recipe = clerk.folder / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("name: bend", "name: Bend_of_the_mountain_road_at_night"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (without_kubeconfig, "no Kubernetes cluster is known here"),
        (with_a_token_that_ended, "the token or certificate has expired"),
        (as_a_stranger, "rbac.subjects.submitter"),
        (in_no_namespace, "namespace nowhere (TOUGE_NAMESPACE names another): no Job template"),
        (where_no_chart_is, "Install the chart"),
        (with_drives_for_a_novel, "name folders instead of single drives"),
        (with_a_name_that_is_no_label, "name: given 'Bend_of_the_mountain_road_at_night'"),
    ],
)
def test_who_cannot_submit_is_told_why_and_nothing_is_made(plane, ron, made, wrong, said):
    wrong(ron, plane)

    code, out, err = ron.run("submit", "recipe.yaml", "--wait")

    assert (code, out) == (ExitCode.INVALID, ""), err
    assert said in err
    assert err.count("error:") == 1
    assert "Traceback" not in err
    assert made() == set()


@pytest.fixture
def edited(plane, install):
    """Return a function that changes the template of a LoRA training until the test is over."""
    here = ("--namespace", install)
    original = plane.get("cronjob", "touge-train-lora", *here)

    def edit(patch):
        plane.kubectl("patch", "cronjob", "touge-train-lora", *here, "--type=merge", "--patch", json.dumps(patch))

    yield edit
    plane.kubectl("delete", "cronjob", "touge-train-lora", *here)
    for name in ("resourceVersion", "uid", "creationTimestamp", "generation"):
        del original["metadata"][name]
    plane.create([original])


def test_a_template_that_somebody_edited_is_named_with_the_place(ron, made, edited):
    edited({"spec": {"jobTemplate": {"metadata": {"annotations": {"touge/placement": '{"lables": ["gke"]}'}}}}})

    code, _, err = ron.run("submit", "recipe.yaml", "--wait")

    assert code == ExitCode.INVALID, err
    assert "train-lora: touge/placement: lables: unknown key; did you mean `labels`?" in err
    assert made() == set()


def test_a_chart_whose_images_hold_other_code_is_told_before_anything_is_made(ron, made, edited):
    edited({"metadata": {"annotations": {"touge/code-digest": "0" * 64}}})

    for words in (("plan", "recipe.yaml"), ("submit", "recipe.yaml", "--wait")):
        code, _, err = ron.run(*words)

        assert code == ExitCode.INVALID, err
        assert "the images of train-lora hold other code" in err
    assert made() == set()


def test_a_policy_that_refuses_jobs_fails_the_run_with_its_words_and_leaves_no_job(plane, install, ron):
    selector = {"matchLabels": {"kubernetes.io/metadata.name": install}}
    bound = BINDING["spec"] | {"matchResources": {"namespaceSelector": selector}}
    plane.create([POLICY, BINDING | {"spec": bound}])
    try:
        code, out, err = eventually(lambda: refused(ron))
    finally:
        plane.kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", "teams")

    assert code == ExitCode.RUN_FAILED, out + err
    assert "a Job names its team" in err
    assert plane.get("jobs", "--namespace", install, "--selector=touge/stage=curate-map")["items"] == []


def refused(clerk):
    """Return how a run of its own ended, if the policy was at work already."""
    done = clerk.run("submit", "recipe.yaml", "--wait", "--timeout", "20", "--new-run")
    if done[0] == ExitCode.RUN_FAILED:
        return done
    clerk.run("cancel", json.loads(clerk.run("status", "-o", "json")[1])["run"])
    return None
