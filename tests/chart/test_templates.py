"""The Job templates: what the platform's values make of a stage's pod."""

from __future__ import annotations

import json

import pytest
from helm import EVERYTHING, TRIAL, find, rendered, setting, stage_pod, variables

from controller.manifests import templates
from controller.runners.local import COMMANDS
from touge.contract.environment import STORE

STAGES = {
    "curate": "curate",
    "train-full": "train",
    "train-lora": "train",
    "train-qlora": "train",
    "evaluate": "evaluate",
}
GPU = [name for name in STAGES if name != "curate"]
#: Labels by which Helm and Argo CD find what is theirs.
TRACKING = {"app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "helm.sh/chart"}
#: Where a stage writes; each must be a volume, because the root is read-only.
WRITTEN = {"/scratch", "/cache", "/tmp", "/dev/shm"}

every_stage = pytest.mark.parametrize("name", STAGES)
every_gpu_stage = pytest.mark.parametrize("name", GPU)


def cronjob(objects, name):
    return find(objects, "CronJob", f"touge-{name}")


def job(objects, name):
    return cronjob(objects, name)["spec"]["jobTemplate"]


@every_stage
def test_a_template_never_runs_by_itself(trial, name):
    spec = cronjob(trial, name)["spec"]

    assert spec["suspend"] is True
    assert spec["schedule"] == "0 0 31 2 *"
    assert spec["concurrencyPolicy"] == "Forbid"


@every_stage
def test_argo_cd_does_not_wait_for_a_template_to_run(trial, name):
    annotations = cronjob(trial, name)["metadata"]["annotations"]

    assert annotations["argocd.argoproj.io/ignore-healthcheck"] == "true"


@every_stage
def test_a_template_is_found_by_its_label(everything, name):
    assert cronjob(everything, name)["metadata"]["labels"]["touge/template"] == name


@every_stage
def test_what_becomes_a_runs_job_carries_nobodys_tracking_labels(everything, name):
    labels = (
        job(everything, name)["metadata"]["labels"],
        job(everything, name)["spec"]["template"]["metadata"]["labels"],
    )

    assert not TRACKING & {*labels[0], *labels[1]}
    assert labels[1]["touge/release"] == "touge"


@every_stage
def test_a_template_runs_the_module_that_the_laptop_runs(trial, name):
    local = COMMANDS[STAGES[name]]
    container = stage_pod(trial, name)["containers"][0]

    assert container["name"] == "stage"
    assert container["command"][1:] == list(local[1:])


@every_stage
def test_every_folder_that_a_stage_writes_is_a_volume(trial, name):
    pod = stage_pod(trial, name)
    volumes = {volume["name"] for volume in pod["volumes"]}
    mounts = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}

    assert mounts.keys() >= WRITTEN
    assert set(mounts.values()) <= volumes


@every_stage
def test_one_container_one_try_and_no_second_pod_beside_a_dying_one(trial, name):
    spec = job(trial, name)["spec"]

    assert (spec["backoffLimit"], spec["podReplacementPolicy"]) == (0, "Failed")
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


@every_gpu_stage
def test_a_gpu_stage_asks_for_one_gpu_and_tolerates_its_taint(trial, name):
    pod = stage_pod(trial, name)

    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in pod["tolerations"]


@every_gpu_stage
def test_gpu_pods_are_left_where_they_are(trial, name):
    annotations = job(trial, name)["spec"]["template"]["metadata"]["annotations"]

    assert annotations["karpenter.sh/do-not-disrupt"] == "true"
    assert annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"


def test_curation_asks_for_no_gpu(trial):
    pod = stage_pod(trial, "curate")

    assert "affinity" not in pod
    assert "tolerations" not in pod
    assert "nvidia.com/gpu" not in pod["containers"][0]["resources"]["limits"]
    assert "annotations" not in job(trial, "curate")["spec"]["template"]["metadata"]


def test_the_store_is_told_to_every_stage(everything):
    told = variables(stage_pod(everything, "evaluate"))

    assert told[STORE] == "s3://drives/touge"
    assert told["TOUGE_S3_ENDPOINT"] == "https://s3.example.com"
    assert (told["TOUGE_S3_REGION"], told["TOUGE_S3_PATH_STYLE"]) == ("eu-west-1", "true")


def test_what_is_set_for_every_stage_reaches_every_stage(everything):
    for name in STAGES:
        pod = stage_pod(everything, name)
        assert (pod["priorityClassName"], pod["runtimeClassName"]) == ("batch", "nvidia")
        assert {"key": "work", "operator": "Equal", "value": "yes", "effect": "NoExecute"} in pod["tolerations"]
        assert variables(pod)["HF_HUB_OFFLINE"] == "1"
        assert {"name": "models", "persistentVolumeClaim": {"claimName": "models"}} in pod["volumes"]


def test_a_methods_own_mapping_is_merged_and_its_own_value_wins(everything):
    assert stage_pod(everything, "train-full")["nodeSelector"] == {"pool": "big"}
    assert stage_pod(everything, "train-lora")["nodeSelector"] == {"pool": "work"}
    queues = {name: job(everything, name)["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] for name in STAGES}
    assert queues == dict.fromkeys(STAGES, "research") | {"train-full": "big"}


def test_a_methods_own_list_replaces_the_common_one():
    own = [{"name": "A", "value": "1"}]
    told = variables(stage_pod(rendered(setting("methods.qlora.env", own, EVERYTHING)), "train-qlora"))

    assert told["A"] == "1"
    assert "HF_HUB_OFFLINE" not in told


def test_scratch_lies_on_the_node_or_on_a_claim_of_the_pods_own(trial, everything):
    on_node, claimed = (stage_pod(objects, "train-full")["volumes"][0] for objects in (trial, everything))

    assert on_node["emptyDir"] == {"sizeLimit": "300Gi"}
    spec = claimed["ephemeral"]["volumeClaimTemplate"]["spec"]
    assert spec["storageClassName"] == "fast"
    assert spec["resources"]["requests"]["storage"] == "300Gi"


def test_the_code_that_an_image_holds_is_written_on_its_templates(everything):
    annotations = {name: cronjob(everything, name)["metadata"]["annotations"] for name in STAGES}

    assert annotations["train-qlora"]["touge/code-digest"] == "1" * 64
    assert "touge/code-digest" not in annotations["curate"]


def test_a_templates_placement_says_what_the_values_say(everything):
    placement = json.loads(job(everything, "train-lora")["metadata"]["annotations"]["touge/placement"])

    assert placement["labels"] == ["gke"]
    assert placement["gpuMemory"] == {"min": 40, "max": 80}
    assert placement["nodeSelector"] == {}
    assert (placement["shared"], placement["driver"], placement["resource"]) == (False, 580, "nvidia.com/gpu")


def test_a_pool_of_one_method_alone_is_left_to_the_controller_to_lift(everything):
    annotations = job(everything, "train-full")["metadata"]["annotations"]

    assert json.loads(annotations["touge/placement"])["nodeSelector"] == {"pool": "big"}


def test_curation_has_nothing_to_place(trial):
    assert job(trial, "curate")["metadata"]["annotations"]["touge/placement"] == "{}"


def test_claimed_gpus_are_left_to_the_controller():
    objects = rendered(setting("placement.dynamicAllocation.enabled", value=True))
    pod = stage_pod(objects, "train-lora")
    placement = json.loads(job(objects, "train-lora")["metadata"]["annotations"]["touge/placement"])

    assert "affinity" not in pod
    assert "nvidia.com/gpu" not in pod["containers"][0]["resources"]["limits"]
    assert placement["dynamicAllocation"] == {"deviceClass": "gpu.nvidia.com", "domain": "gpu.nvidia.com"}
    rules = find(objects, "Role", "touge-runner")["rules"]
    assert ["resourceclaimtemplates"] in [rule["resources"] for rule in rules]


def test_retraining_submits_the_mounted_recipe(trial):
    spec = cronjob(trial, "retrain")["spec"]
    pod = stage_pod(trial, "retrain")

    assert spec["suspend"] is True
    assert pod["containers"][0]["args"] == ["submit", "/etc/touge/recipe/recipe.yaml", "--detach"]
    assert pod["volumes"][-1]["configMap"]["name"] == "touge-retrain"


def test_a_schedule_lets_retraining_go(everything):
    spec = cronjob(everything, "retrain")["spec"]

    assert (spec["suspend"], spec["schedule"], spec["timeZone"]) == (False, "0 3 * * 6", "Etc/UTC")


def test_without_a_controller_retraining_sees_its_run_through():
    pod = stage_pod(rendered(setting("controller.enabled", value=False)), "retrain")

    assert pod["containers"][0]["args"][-1] == "--wait"


def test_the_controller_reads_the_templates(everything):
    assert set(templates.read_templates(everything)) == set(STAGES)


def test_the_trials_templates_are_read_too():
    assert set(templates.read_templates(rendered(TRIAL))) == set(STAGES)
