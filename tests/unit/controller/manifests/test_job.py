"""Manifests: what is sent to Kubernetes for an attempt, as a whole and by its promises."""

from __future__ import annotations

import copy
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from job_templates import NAMES, OWNER, cronjob, job, objects, pod_of, stage_of, templates, variables
from manifest_goldens import GOLDENS, RECIPES, golden_text
from run_builders import make_recipe, plan_of

from controller.manifests import failure_policy
from controller.manifests.job import Attempt, render
from controller.manifests.templates import read_templates
from touge.contract.environment import StageEnvironment
from touge.contract.errors import SettingsError
from touge.contract.plan import STAGE_NAMES

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
PLAN = plan_of(make_recipe(curate={"drives": [{"format": "jsonl", "uri": "file:///d"}], "shards": 8}))
TWO_NODES = plan_of(make_recipe(resources={"nodes": 2, "gpus": 8}))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_what_is_sent_for_a_shipped_recipe_is_as_recorded(recipe):
    assert golden_text(recipe) == (GOLDENS / recipe.name).read_text("utf-8"), "`make goldens` records it anew"


def test_no_recording_is_of_a_recipe_that_is_gone():
    assert {path.name for path in GOLDENS.iterdir()} == {path.name for path in RECIPES}


@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_the_same_attempt_is_the_same_whoever_renders_it(stage):
    assert objects(PLAN, stage) == objects(PLAN, stage)


@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_rendering_leaves_the_template_as_it_was(stage):
    documents = [cronjob(name) for name in NAMES]
    before = copy.deepcopy(documents)
    render(Attempt(PLAN, stage), read_templates(documents), OWNER)

    assert documents == before


@given(
    name=st.from_regex(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?", fullmatch=True),
    stage=st.sampled_from(STAGE_NAMES),
    shard=st.one_of(st.none(), st.integers(0, 99_999)),
    number=st.integers(1, 9_999),
)
def test_a_jobs_name_and_its_pods_host_names_are_dns_labels(name, stage, shard, number):
    run = PLAN.model_copy(update={"run": f"{name}-0123456789"})
    host = f"{Attempt(run, stage, number, shard).job}-99999"

    assert DNS_LABEL.fullmatch(host)
    assert len(host) <= 63


def test_different_attempts_have_different_names():
    long = PLAN.model_copy(update={"run": f"{'x' * 30}-0123456789"})
    attempts = [
        Attempt(plan, stage, number, shard)
        for plan in (PLAN, long)
        for stage in STAGE_NAMES
        for number in (1, 2, 12, 12_345)
        for shard in (None, 1, 2, 12, 12_345)
    ]

    assert len({attempt.job for attempt in attempts}) == len(attempts)


def test_a_job_belongs_to_the_run_record_alone_and_says_what_it_is():
    metadata = job(PLAN, "train", number=3)["metadata"]

    assert metadata["ownerReferences"] == [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": OWNER.name,
            "uid": OWNER.uid,
            "controller": False,
            "blockOwnerDeletion": False,
        }
    ]
    assert metadata["labels"] == {
        "app.kubernetes.io/name": "touge",
        "app.kubernetes.io/managed-by": "touge",
        "kueue.x-k8s.io/queue-name": "gpus",
        "touge/run": PLAN.run,
        "touge/stage": "train",
        "touge/attempt": "3",
    }
    assert metadata["namespace"] == "roads"


def test_neither_job_nor_pod_is_tracked_by_helm_or_argo_cd():
    assert not re.search(r"helm\.sh|argocd|Helm|app\.kubernetes\.io/instance", str(objects(PLAN, "train")))


@pytest.mark.parametrize("stage", ["curate", "train", "evaluate"])
def test_a_stage_that_one_pod_does_ends_with_it(stage):
    spec = job(PLAN, stage)["spec"]

    assert spec["backoffLimit"] == 0
    assert spec["podFailurePolicy"] == failure_policy.single_pod()
    assert "completionMode" not in spec


def test_a_mapped_stage_is_an_indexed_job_with_an_index_a_shard():
    spec = job(PLAN, "curate-map")["spec"]

    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 8, 8)
    assert spec["podFailurePolicy"] == failure_policy.shards()


def test_an_index_that_fails_leaves_the_others_at_work():
    spec = job(PLAN, "curate-map")["spec"]

    assert spec["backoffLimitPerIndex"] == 0
    assert "backoffLimit" not in spec


def test_a_shard_tried_again_is_a_job_of_its_own_that_knows_its_index():
    again = job(PLAN, "curate-map", number=2, shard=5)

    assert variables(again)["JOB_COMPLETION_INDEX"] == "5"
    assert again["metadata"]["labels"]["touge/shard"] == "5"
    assert again["spec"]["podFailurePolicy"] == failure_policy.single_pod()
    assert "completionMode" not in again["spec"]


def test_training_on_several_nodes_is_one_set_that_fails_together():
    spec = job(TWO_NODES, "train")["spec"]

    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 2, 2)
    assert spec["podFailurePolicy"] == failure_policy.several_nodes()
    assert spec["backoffLimit"] == 0


def test_several_nodes_find_node_0_by_a_headless_service_made_before_them():
    service, training = objects(TWO_NODES, "train")
    name, told = training["metadata"]["name"], variables(training)

    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"]
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": name}
    assert pod_of(training)["subdomain"] == service["metadata"]["name"]
    assert told["MASTER_ADDR"] == f"{name}-0.{service['metadata']['name']}"
    assert [told["MASTER_PORT"]] == [str(port["port"]) for port in service["spec"]["ports"]]


def test_the_other_stages_of_such_a_run_need_no_service():
    assert [len(objects(TWO_NODES, stage)) for stage in STAGE_NAMES] == [1, 1, 2, 1, 1]


def test_claimed_gpus_come_with_their_claim_template():
    claim, training = objects(PLAN, "train", dynamicAllocation={})

    assert (claim["apiVersion"], claim["kind"]) == ("resource.k8s.io/v1", "ResourceClaimTemplate")
    assert claim["metadata"]["ownerReferences"] == training["metadata"]["ownerReferences"]
    assert [c["resourceClaimTemplateName"] for c in pod_of(training)["resourceClaims"]] == [claim["metadata"]["name"]]


def test_a_stage_without_a_gpu_claims_none():
    assert [len(objects(PLAN, stage, dynamicAllocation={})) for stage in STAGE_NAMES] == [1, 1, 2, 2, 1]


@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_pods_are_replaced_only_when_they_are_gone(stage):
    spec = job(PLAN, stage)["spec"]

    assert spec["podReplacementPolicy"] == "Failed"
    assert pod_of(job(PLAN, stage))["restartPolicy"] == "Never"


def test_the_jobs_deadline_leaves_a_month_for_waiting():
    plan = plan_of(make_recipe(limits={"hours": 1.5}))

    assert job(plan, "train")["spec"]["activeDeadlineSeconds"] == 5_400 + 30 * 86_400


@pytest.mark.parametrize(("method", "seconds"), [("full", 600), ("lora", 120), ("qlora", 120)])
def test_a_training_is_given_the_time_that_its_checkpoint_takes(method, seconds):
    training = job(plan_of(make_recipe(train={"method": method})), "train")

    assert pod_of(training)["terminationGracePeriodSeconds"] == seconds
    assert variables(training)["TOUGE_GRACE_S"] == str(seconds)


def edited(change, stage="train", name="train-lora"):
    """Return a Job of a template that the platform has changed."""
    document = cronjob(name)
    change(document["spec"]["jobTemplate"]["spec"]["template"]["spec"])
    return render(Attempt(PLAN, stage), read_templates([document]), OWNER)[-1]


def test_a_longer_grace_period_of_the_templates_is_kept():
    training = edited(lambda pod: pod.update(terminationGracePeriodSeconds=900))

    assert pod_of(training)["terminationGracePeriodSeconds"] == 900
    assert variables(training)["TOUGE_GRACE_S"] == "900"


@pytest.mark.parametrize("stage", STAGE_NAMES)
@pytest.mark.parametrize("shard", [None, 1])
def test_a_stage_understands_what_it_is_told(stage, shard):
    told = {
        name: value or "uid-of-the-pod" for name, value in variables(job(PLAN, stage, number=2, shard=shard)).items()
    }
    read = StageEnvironment.parse(told)

    assert (read.stage, read.attempt, read.index, read.uid) == (stage, 2, shard or 0, "uid-of-the-pod")
    assert read.store == "s3://roads/touge"


@pytest.mark.parametrize(
    ("resources", "source"),
    [
        ({"requests": {"cpu": "4"}}, {"resourceFieldRef": {"resource": "requests.cpu"}}),
        ({"limits": {"cpu": "4"}}, {"resourceFieldRef": {"resource": "requests.cpu"}}),
        ({"requests": {"memory": "1Gi"}}, None),
    ],
)
def test_a_stage_computes_on_as_many_processors_as_its_pod_asks_for(resources, source):
    training = edited(lambda pod: pod["containers"][0].update(resources=resources))
    told = {item["name"]: item.get("valueFrom") for item in stage_of(training)["env"]}

    assert told.get("OMP_NUM_THREADS") == source


def test_an_executions_uid_is_its_pods():
    uid = next(item for item in stage_of(job(PLAN, "train"))["env"] if item["name"] == "TOUGE_UID")

    assert uid["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.uid"}}


@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_whatever_a_stage_writes_lies_on_a_volume(stage):
    rendered = job(PLAN, stage)
    mounts = [mount["mountPath"] for mount in stage_of(rendered)["volumeMounts"] if not mount.get("readOnly")]
    caches = {value for name, value in variables(rendered).items() if re.search("HOME|CACHE|CONFIG|SCRATCH", name)}

    assert [path for path in caches if not any(path == m or path.startswith(f"{m}/") for m in mounts)] == []
    assert {"/tmp", "/dev/shm"} <= set(mounts)


def test_shared_memory_is_memory():
    volumes = {volume["name"]: volume for volume in pod_of(job(PLAN, "train"))["volumes"]}

    assert volumes["touge-shm"]["emptyDir"] == {"medium": "Memory"}


def test_the_plan_comes_from_the_run_record():
    rendered = job(PLAN, "train")
    volume = next(item for item in pod_of(rendered)["volumes"] if item["name"] == "touge-plan")

    assert volume["configMap"] == {"name": OWNER.name, "items": [{"key": "plan", "path": "plan.json"}]}
    assert variables(rendered)["TOUGE_PLAN"] == "/plan/plan.json"


def test_a_volume_that_the_platform_mounts_there_is_kept():
    def change(pod):
        pod["volumes"] = [{"name": "fast", "persistentVolumeClaim": {"claimName": "cache"}}]
        pod["containers"][0]["volumeMounts"] = [{"name": "fast", "mountPath": "/cache"}]

    rendered = edited(change)
    paths = [mount["mountPath"] for mount in stage_of(rendered)["volumeMounts"]]

    assert paths.count("/cache") == 1
    assert "touge-cache" not in {volume["name"] for volume in pod_of(rendered)["volumes"]}


def test_a_variable_of_the_platforms_goes_before_our_caches_but_not_before_what_the_stage_is_told():
    def change(pod):
        pod["containers"][0]["env"] += [{"name": "HF_HOME", "value": "/hub"}, {"name": "TOUGE_STAGE", "value": "mine"}]

    told = variables(edited(change))

    assert (told["HF_HOME"], told["TOUGE_STAGE"]) == ("/hub", "train")


def test_containers_beside_the_stage_are_left_alone():
    beside = {"name": "proxy", "image": "proxy:1"}
    rendered = edited(lambda pod: pod["containers"].append(beside))

    assert pod_of(rendered)["containers"][1] == beside


@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_nothing_is_added_that_pod_security_restricted_refuses(stage):
    rendered, template = job(PLAN, stage), templates()["curate"].pod["spec"]
    kinds = {kind for volume in pod_of(rendered)["volumes"] for kind in volume if kind != "name"}

    assert kinds == {"configMap", "emptyDir"}
    assert pod_of(rendered)["securityContext"] == template["securityContext"]
    assert stage_of(rendered)["securityContext"] == template["containers"][0]["securityContext"]


def test_a_recipe_without_gpus_runs_on_any_node():
    training = job(plan_of(make_recipe(resources={"gpus": 0})), "train", nodeSelector={"pool": "gpu"})

    assert not pod_of(training).keys() & {"affinity", "tolerations", "nodeSelector"}
    assert "nvidia.com/gpu" not in str(training)


def test_a_missing_template_is_named_with_those_that_there_are():
    with pytest.raises(SettingsError, match="no Job template train-lora for train; there is curate, evaluate"):
        render(Attempt(PLAN, "train"), read_templates([cronjob("curate"), cronjob("evaluate")]), OWNER)
