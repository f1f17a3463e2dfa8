"""Bad values: refused before anything is sent, with the place and with what to set."""

from __future__ import annotations

import pytest
from helm import EVERYTHING, TRIAL, refusal, setting, template

S3 = {"uri": "s3://drives/touge", "jobsSecret": "jobs", "controllerSecret": "controller"}


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("storage.embedded.enabld", True, "at '/storage/embedded': additional properties 'enabld' not allowed"),
        ("metods", {}, "at '': additional properties 'metods' not allowed"),
        ("methods.dora", {}, "at '/methods': additional properties 'dora' not allowed"),
        ("methods.full.gpuMemory", {"min": "-80GB", "max": ""}, "at '/methods/full/gpuMemory/min': '-80GB'"),
        ("methods.full.gpuMemory", {"min": "80Gi", "max": ""}, "does not match pattern '^([1-9][0-9]*GB)?$'"),
        ("controller.enabled", "yes", "at '/controller/enabled': got string, want boolean"),
        ("placement.labels", ["gfd"], "at '/placement/labels/0'"),
        ("placement.labels", [], "at '/placement/labels'"),
        ("placement.tolerations", [{"kye": "gpu"}], "at '/placement/tolerations/0': additional properties 'kye'"),
        ("jobs.queue", "My Queue", "at '/jobs/queue': 'My Queue' does not match pattern"),
        ("jobs.scratch", {"size": "lots"}, "at '/jobs/scratch/size': 'lots' does not match pattern"),
        ("jobs.volumes", [{"name": "disk", "hostPath": {"path": "/"}}], "additional properties 'hostPath' not allowed"),
        ("jobs.gracePeriodSeconds", 5, "at '/jobs/gracePeriodSeconds': minimum: got 5, want 30"),
        ("jobs.labels", {"touge/run": "x"}, "at '/jobs/labels/touge~1run': false schema"),
        ("commonLabels", {"app.kubernetes.io/name": "x"}, "at '/commonLabels/app.kubernetes.io~1name'"),
        ("stages.curate.affinity", {}, "at '/stages/curate': additional properties 'affinity' not allowed"),
        ("storage.uri", "file:///data", "at '/storage/uri': 'file:///data' does not match pattern"),
        ("storage.endpoint", "https://key:secret@host", "at '/storage/endpoint'"),
        ("images.train.digest", "sha256:abc", "at '/images/train/digest': 'sha256:abc' does not match pattern"),
        ("images.pullPolicy", "Sometimes", "'IfNotPresent', 'Always', 'Never'"),
        ("security.runAsUser", 0, "at '/security/runAsUser': minimum: got 0, want 1"),
        ("retrain.schedule", "every monday", "at '/retrain/schedule': 'every monday' does not match pattern"),
        ("retrain.configMap", "", "at '/retrain/configMap': '' does not match pattern"),
        ("rbac.subjects.runner", [{"kind": "Team", "name": "x"}], "at '/rbac/subjects/runner/0/kind'"),
        ("fullnameOverride", "a" * 41, "at '/fullnameOverride'"),
        ("networkPolicy.store.cidrs", ["s3.example.com"], "at '/networkPolicy/store/cidrs/0'"),
    ],
)
def test_the_schema_names_the_wrong_key_and_its_place(path, value, said):
    assert said in refusal(setting(path, value))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "storage.uri is not set: set it to s3://bucket/prefix, or for a trial storage.embedded.enabled=true"),
        ({"storage": S3 | {"jobsSecret": ""}}, "storage.jobsSecret is not set: name a Secret"),
        ({"storage": S3 | {"credentials": "identity"}}, "storage.controllerSecret is not used with"),
        ({"storage": S3 | {"embedded": {"enabled": True}}}, "storage.embedded.enabled brings address and credentials"),
        (setting("images.train.tag", "0.2.0"), "images.train.tag is 0.2.0, but this chart is of 0.1.0"),
        (setting("serviceAccounts.jobs.create", value=False), "serviceAccounts.jobs.name is not set: name the"),
        (
            setting("serviceAccounts.jobs", {"create": False, "name": "x", "annotations": {"a": "b"}}),
            "serviceAccounts.jobs.annotations are not used with create=false: set them on x",
        ),
        (
            setting("methods.lora.env", [{"name": "HF_TOKEN", "value": "hf_123"}]),
            "env HF_TOKEN of lora holds its value in plain text: give it by valueFrom.secretKeyRef",
        ),
        (
            setting("methods.full.gpuMemory", {"max": "48GB"}),
            "gpuMemory.max of train-full is 48GB, less than the 80GB that it needs: raise max or lower min",
        ),
        (
            setting("methods.full", {"affinity": {"nodeAffinity": {}}, "gpuMemory": {"min": "96GB"}}),
            "affinity of train-full replaces what its gpuMemory would say: remove one of them",
        ),
        (
            setting("methods.full.gpuMemory.min", "500GB") | {"placement": {"labels": ["gke"]}},
            "placement.labels know no card with the 500GB or more that train-full needs",
        ),
        (
            setting("controller", {"enabled": False, "metrics": {"serviceMonitor": True}}),
            "needs controller.enabled=true",
        ),
        (setting("networkPolicy.enabled", value=True, base=TRIAL), "networkPolicy.apiServer.cidrs is not set"),
        (
            {"storage": S3, "networkPolicy": {"enabled": True, "apiServer": {"cidrs": ["10.0.0.1/32"]}}},
            "networkPolicy.store does not say where the bucket is: set cidrs, or podSelector",
        ),
    ],
)
def test_what_a_schema_cannot_say_is_refused_with_what_to_set(values, said):
    assert said in refusal(values)


def test_all_problems_are_listed_at_once():
    words = refusal({"storage": {"uri": ""}, "images": {"curate": {"tag": "1.0"}}})

    assert "4 problem(s)" in words
    assert all(
        part in words for part in ("storage.uri", "storage.jobsSecret", "storage.controllerSecret", "curate.tag")
    )


def test_a_tag_that_begins_with_the_charts_version_is_accepted():
    assert template(setting("images.train.tag", "0.1.0-cuda13")).returncode == 0


def test_a_variable_that_only_sounds_like_a_credential_is_accepted():
    assert template(setting("jobs.env", [{"name": "TOKENIZERS_PARALLELISM", "value": "false"}])).returncode == 0


def test_a_queue_without_kueue_is_refused_with_what_to_do_offline():
    words = refusal(setting("jobs.queue", "research"), apis=())

    assert "queue research is named, but the cluster has no Kueue: install it or leave queue empty" in words
    assert "--api-versions kueue.x-k8s.io/v1beta1" in words


def test_a_service_monitor_without_its_operator_is_refused():
    assert "has no Prometheus operator" in refusal(setting("controller.metrics.serviceMonitor", value=True), apis=())


def test_claimed_gpus_need_a_newer_kubernetes():
    values = setting("placement.dynamicAllocation.enabled", value=True)

    assert "needs Kubernetes 1.34, this is v1.33.1" in refusal(values, "--kube-version", "1.33.1")
    assert template(values, "--kube-version", "1.34.0").returncode == 0


def test_nothing_of_a_cluster_is_needed_to_render():
    assert template(TRIAL, apis=()).returncode == 0
    assert template(EVERYTHING).returncode == 0
