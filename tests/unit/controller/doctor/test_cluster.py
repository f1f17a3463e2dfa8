"""What `doctor` says of a namespace; what it says is checked against an API server that was told what to have."""

import json
from importlib.metadata import version

import pytest
import scripted_api
from gpu_nodes import discovered
from job_templates import cronjob, templates
from object_api import chart_installed

from controller.cli.app import main
from controller.doctor.cluster import code, images, nodes, skew
from controller.manifests.templates import read_templates
from touge.storage.sources import code_digests

PODS = "/api/v1/namespaces/roads/pods"
CRON_JOBS = "/apis/batch/v1/namespaces/roads/cronjobs"


@pytest.fixture
def objects():
    with chart_installed() as objects:
        objects.put("/apis/kueue.x-k8s.io", {"preferredVersion": {"version": "v1beta2"}})
        queues = "/apis/kueue.x-k8s.io/v1beta2/namespaces/roads/localqueues"
        objects.put(f"{queues}/gpus", {"status": {"pendingWorkloads": 3}})
        objects.put("/version", {"gitVersion": "v1.36.3"})
        yield objects


@pytest.fixture
def found(objects, tmp_path, monkeypatch, capsys):
    """Run doctor and return its findings by name, and its exit code."""
    with scripted_api.serving(tmp_path) as api:
        api.script = objects
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig))

        def run():
            exit_code = main(["doctor", "--runner", "kubernetes", "-o", "json"])
            return {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)}, exit_code

        yield run


def node(name, gpus, **labels):
    labels = {key.replace("__", "/"): value for key, value in labels.items()}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {},
        "status": {"allocatable": {"nvidia.com/gpu": gpus}},
    }


def test_a_namespace_with_all_that_a_run_needs_is_fine_without_any_package_of_the_stages(found):
    findings, exit_code = found()

    assert [f for f in findings.values() if not f["ok"]] == []
    assert exit_code == 0
    assert not {"packages of train", "packages of curate", "disk"} & findings.keys()


def test_a_right_that_is_missing_is_named_with_the_role_to_ask_for(found, objects):
    objects.forbidden = {("create", "configmaps"), ("get", "pods/log")}

    findings, exit_code = found()

    assert findings["right to submit"]["found"] == "may not create configmaps, get pods/log"
    assert "rbac.subjects.submitter" in findings["right to submit"]["advice"]
    assert exit_code == 10


def test_who_may_not_make_jobs_needs_a_controller(found, objects):
    objects.forbidden = {("create", "jobs")}
    alone, _ = found()
    labels = {"app.kubernetes.io/name": "touge", "app.kubernetes.io/component": "controller"}
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    objects.put(f"{PODS}/c", {"metadata": {"name": "c", "labels": labels}, "status": ready})

    served, exit_code = found()

    assert not alone["right to run Jobs"]["ok"]
    assert served["right to run Jobs"]["ok"]
    assert "left to pod c" in served["right to run Jobs"]["hint"]
    assert exit_code == 0


def test_a_missing_template_is_named_with_where_to_look(found, objects):
    del objects.known[f"{CRON_JOBS}/touge-train-full"]

    finding = found()[0]["Job templates"]

    assert (finding["ok"], finding["found"]) == (False, "missing: train-full")
    assert "TOUGE_NAMESPACE" in finding["advice"]


def test_a_chart_of_another_version_is_told_with_both(found, objects):
    old = cronjob("evaluate")
    old["metadata"]["labels"]["helm.sh/chart"] = "touge-0.0.9"
    objects.put(f"{CRON_JOBS}/touge-evaluate", old)

    finding = found()[0]["chart"]

    assert not finding["ok"]
    assert "touge-0.0.9" in finding["found"]
    assert f"touge-{version('touge')}" in finding["found"]


@pytest.mark.parametrize(
    ("path", "document", "said"),
    [
        ("/apis/kueue.x-k8s.io", None, "no Kueue"),
        ("/apis/kueue.x-k8s.io/v1beta2/namespaces/roads/localqueues/gpus", None, "not there"),
        (
            "/apis/kueue.x-k8s.io/v1beta2/namespaces/roads/localqueues/gpus",
            {"status": {"conditions": [{"type": "Active", "status": "False", "message": "ClusterQueue is stopped"}]}},
            "ClusterQueue is stopped",
        ),
    ],
)
def test_a_queue_that_admits_nothing_is_told(found, objects, path, document, said):
    del objects.known[path]
    if document:
        objects.put(path, document)
    else:
        objects.gone = path

    finding = found()[0]["queue gpus"]

    assert not finding["ok"]
    assert said in finding["found"]


def test_a_queue_that_may_not_be_read_is_a_hint_and_no_fault(found, objects):
    objects.unreadable = {"gpus"}

    findings, exit_code = found()

    assert (exit_code, findings["queue gpus"]["found"]) == (0, "cannot be read")


def test_nodes_that_may_not_be_read_are_a_hint_and_no_fault(found, objects):
    objects.forbidden = {("list", "nodes"), ("get", "nodes")}
    objects.unreadable = {"nodes"}

    findings, exit_code = found()

    assert exit_code == 0
    assert "rbac.readNodes" in findings["right to read nodes"]["hint"]
    assert "GPU nodes" not in findings


def test_a_cluster_that_does_not_answer_is_told_and_ends_the_looking(found, objects):
    objects.unreadable = {"version", "cronjobs", "selfsubjectaccessreviews"}

    finding = found()[0]["API server"]

    assert not finding["ok"]
    assert "not yours" in finding["found"]


def test_cards_are_counted_and_silent_nodes_named():
    told = [
        node("a", 8, **{k.replace("/", "__"): v for k, v in discovered(81_559).items()}),
        node("b", 1),
        node("c", 0),
    ]

    cards, silent = nodes(told, templates())

    assert cards.found == "1 with 80 GB"
    assert not silent.ok
    assert "b" in silent.found
    assert "feature discovery" in silent.advice


def test_an_image_counts_under_its_whole_name():
    holds = {"status": {"images": [{"names": ["registry.example/touge/train:0.1.0", "docker.io/touge/curate:0.1.0"]}]}}

    finding = images([holds], templates())

    assert finding.found == "2 of 3 on some node"
    assert finding.hint.endswith("touge/evaluate:0.1.0")


def test_images_of_other_code_are_told_before_a_stage_refuses_the_plan():
    def annotated(name, digest):
        document = cronjob(name)
        document["metadata"]["annotations"]["touge/code-digest"] = digest
        return document

    digests = code_digests()
    train = annotated("train-lora", digests["train"])
    same = code(read_templates([train]), digests)
    other = code(read_templates([train, annotated("evaluate", "0" * 64)]), digests)
    silent = code(read_templates([cronjob("evaluate")]), digests)

    assert (same.ok, same.hint) == (True, "")
    assert (other.ok, other.found) == (False, "other than here in evaluate")
    assert silent.ok
    assert "codeDigest" in silent.hint


@pytest.mark.parametrize(("ours_s", "ok"), [(1_795_752_000, True), (1_795_752_059, True), (1_795_751_900, False)])
def test_a_clock_that_is_a_minute_off_is_told(ours_s, ok):
    assert skew("Fri, 27 Nov 2026 04:00:00 GMT", ours_s * 10**6).ok is ok
