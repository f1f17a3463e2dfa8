"""Job templates: what is read from the chart's CronJobs, and what is wrong with those that cannot be used."""

from __future__ import annotations

from dataclasses import replace

import pytest
from job_templates import NAMES, cronjob, templates
from run_builders import plan_of

from controller.manifests.templates import read_templates, template_name, templates_for
from controller.placement.affinity import Placement
from touge.contract.errors import SettingsError
from touge.contract.plan import STAGE_NAMES


def without(name, *path):
    """Return a template's document with one thing taken away."""
    document = cronjob(name)
    node = document
    for key in path[:-1]:
        node = node[key]
    del node[path[-1]]
    return document


def test_every_stage_of_every_method_has_a_template_in_the_chart():
    names = {template_name(stage, method) for stage in STAGE_NAMES for method in ("full", "lora", "qlora")}

    assert names == set(NAMES)


def test_templates_are_found_by_their_label_among_other_objects():
    others = [{"kind": "ConfigMap", "metadata": {"name": "x"}}, {"kind": "CronJob", "metadata": {"name": "retrain"}}]

    assert list(read_templates([*others, cronjob("curate")])) == ["curate"]


def test_what_the_platform_says_about_its_nodes_is_read():
    read = templates(gpuMemory={"max": 48}, labels=["gke"])["train-lora"]

    assert read.placement == Placement.model_validate({"gpuMemory": {"max": 48}, "labels": ["gke"]})


def test_tracking_labels_of_helm_and_argo_cd_are_left_behind():
    read = templates()["evaluate"]

    assert read.labels == {"app.kubernetes.io/name": "touge", "kueue.x-k8s.io/queue-name": "gpus"}
    assert read.annotations == {}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (cronjob("curate", gpuMemory={"max": -1}), "curate: touge/placement: gpuMemory.max: given -1"),
        (cronjob("curate", lables=["gke"]), "unknown key; did you mean `labels`?"),
        (
            without("curate", "spec", "jobTemplate", "metadata", "annotations"),
            "curate: no annotation touge/placement in its jobTemplate",
        ),
        (without("curate", "spec", "jobTemplate"), "curate: no spec.jobTemplate.spec.template"),
    ],
)
def test_a_template_edited_by_hand_is_refused_with_the_place(document, said):
    with pytest.raises(SettingsError) as caught:
        read_templates([document])

    assert said in str(caught.value)


def test_a_template_without_a_stage_or_a_store_says_so():
    stageless, storeless = cronjob("curate"), cronjob("evaluate")
    stageless["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["name"] = "main"
    del storeless["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["env"][0]
    del storeless["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["envFrom"]

    with pytest.raises(SettingsError) as caught:
        read_templates([stageless, storeless])

    assert "curate: no container named stage (it has main)" in str(caught.value)
    assert "evaluate: its container sets no TOUGE_STORE" in str(caught.value)


def test_one_template_given_twice_is_refused():
    with pytest.raises(SettingsError, match="train-lora: there are two of it"):
        read_templates([cronjob("train-lora"), cronjob("train-lora")])


def test_keys_that_helm_leaves_empty_are_as_if_they_were_not_there():
    empty = cronjob("curate")
    pod = empty["spec"]["jobTemplate"]["spec"]["template"]
    pod["spec"] |= {"volumes": None, "tolerations": None, "affinity": None, "nodeSelector": None}
    pod["spec"]["containers"][0] |= {"volumeMounts": None}

    assert read_templates([empty]) == read_templates([cronjob("curate")])


def test_a_plan_takes_the_templates_of_its_method():
    assert list(templates_for(plan_of(), templates())) == ["curate", "train-lora", "evaluate"]


def test_images_of_other_code_are_refused_all_at_once_and_those_that_tell_none_are_not():
    plan, known = plan_of(), templates()
    same = known | {"train-lora": replace(known["train-lora"], code=plan.stage("train").code)}
    other = known | {name: replace(known[name], code="0" * 64) for name in ("curate", "evaluate")}

    templates_for(plan, same)
    with pytest.raises(SettingsError, match="the images of curate, evaluate hold other code"):
        templates_for(plan, other)
