"""The chart on a real API server: every object is taken as it stands, and all of them go again."""

from __future__ import annotations

import json
import subprocess

import binaries
import openapi
import pytest
import yaml
from cluster_runs import SMALL, attempt, plan_for, recorded
from daemons import wait_until
from helm import CHART, EVERYTHING, TRIAL, find, found, helm, pod_templates, rendered, setting
from installs import contents, helm_on, install

from controller.manifests.job import Owner
from controller.manifests.templates import read_templates
from touge.contract.plan import STAGE_NAMES

CLAIMS = setting("placement.dynamicAllocation.enabled", value=True)
VALUES = {"a trial": TRIAL, "every feature": EVERYTHING, "claimed GPUs": CLAIMS}
#: Other projects' kinds, which are not Kubernetes' to know.
FOREIGN = {"ServiceMonitor"}
#: Without the operator, whose image is not this test's.
QUIET = SMALL | {"controller": {"enabled": False}}


@pytest.fixture(scope="module")
def schemas(tmp_path_factory):
    """Return the folder of schemas of each version."""
    folders = {}
    for version in openapi.pinned():
        folders[version] = tmp_path_factory.mktemp(version)
        document = json.loads(binaries.document(version).read_text("utf-8"))
        for name, schema in openapi.schemas(document):
            (folders[version] / name).write_text(json.dumps(schema), "utf-8")
    return folders


def conforming(folder, objects):
    """Return what kubeconform, at its strictest, says is wrong with objects."""
    command = [str(binaries.folder() / "kubeconform"), "-strict", "-output", "json", "-skip", ",".join(FOREIGN)]
    command += ["-schema-location", f"{folder}/{openapi.LOCATION}"]
    text = yaml.safe_dump_all(objects)
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    return [f"{item['kind']} {item['name']}: {item['msg']}" for item in json.loads(done.stdout)["resources"]]


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("version", openapi.pinned())
def test_every_object_is_one_of_that_kubernetes(version, name, schemas):
    if name == "claimed GPUs" and version < "v1.34":
        pytest.skip("the chart refuses claimed GPUs before Kubernetes 1.34")
    objects = rendered(VALUES[name], "--kube-version", version)

    assert conforming(schemas[version], objects) == []


@pytest.mark.parametrize("version", openapi.pinned())
def test_every_job_is_one_of_that_kubernetes(version, schemas):
    templates, plan = read_templates(rendered(TRIAL)), plan_for("full", resources={"nodes": 2, "gpus": 8})
    owner = Owner("run", "uid")
    objects = [item for stage in STAGE_NAMES for item in attempt(plan, stage, templates, owner)]

    assert conforming(schemas[version], objects) == []


@pytest.mark.parametrize("version", openapi.pinned())
def test_a_misspelt_field_or_a_wrong_type_would_be_seen(version, schemas):
    job = find(rendered(TRIAL), "CronJob", "touge-curate")
    spec = job["spec"]["jobTemplate"]["spec"]
    spec["backofLimit"] = 0
    spec["template"]["spec"]["containers"][0]["image"] = 7

    (said,) = conforming(schemas[version], [job])
    assert "backofLimit" in said
    assert "image" in said


@pytest.mark.parametrize("values", [{}, TRIAL, EVERYTHING], ids=["defaults", "a trial", "every feature"])
def test_lint_finds_nothing(values):
    done = helm("lint", "--strict", str(CHART), values=values)

    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def prepared(plane):
    """Return a restricted namespace with what every feature's values name."""
    namespace = plane.restricted_namespace()
    classes = [
        {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": 1}
        for name in ("batch", "system")
    ]
    runtime = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "nvidia"}}
    accounts = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": f"touge-{who}", "namespace": namespace}}
        for who in ("jobs", "controller")
    ]
    plane.create([*classes, runtime | {"handler": "runc"}, *accounts])
    yield namespace
    plane.kubectl("delete", "priorityclass/batch", "priorityclass/system", "runtimeclass/nvidia")
    plane.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.mark.parametrize("name", VALUES)
def test_the_api_server_takes_every_object_with_no_field_to_spare(name, plane, prepared):
    there = FOREIGN | {"ServiceAccount"}
    objects = [item for item in rendered(VALUES[name], "--namespace", prepared) if item["kind"] not in there]
    said = plane.create(objects, "--dry-run=server", "--validate=strict")

    assert said.count("(server dry run)") == len(objects)


@pytest.mark.parametrize("name", VALUES)
def test_restricted_pod_security_admits_every_pod(name, plane, prepared):
    pods = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "pod-", "namespace": prepared}}
        | {"spec": template["spec"]}
        for template in pod_templates(rendered(VALUES[name], "--namespace", prepared)).values()
    ]

    assert plane.create(pods, "--dry-run=server").count("pod/") == len(pods) > 6


def test_restricted_pod_security_refuses_a_pod_that_may_be_root(plane, prepared):
    spec = pod_templates(rendered(TRIAL, "--namespace", prepared))["CronJob/touge-curate"]["spec"]
    spec["securityContext"] = {}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": prepared}, "spec": spec}
    done = plane.run(str(binaries.folder() / "kubectl"), "create", "--dry-run=server", "--filename=-", given=pod)

    assert 'violates PodSecurity "restricted' in done.stderr


@pytest.fixture
def installed(plane, namespace):
    """Return a namespace in which the chart is installed."""
    install(plane, namespace, QUIET)
    return namespace


def submitted(plane, namespace):
    """Make a run as a user would, of the templates that are installed; return what it is made of."""
    templates = read_templates(plane.get("cronjobs", "--namespace", namespace)["items"])
    plan = plan_for()
    job = attempt(plan, "curate", templates, recorded(plane, plan, namespace))[-1]
    name = job["metadata"]["name"]
    plane.create([job])
    pods = ("pods", "--namespace", namespace, f"--selector=job-name={name}")
    wait_until(lambda: bool(plane.get(*pods)["items"]), "the run has a pod")
    return {("ConfigMap", plan.run), ("Job", name)}


def test_an_install_makes_what_was_rendered_and_nothing_else(plane, installed):
    expected = {(item["kind"], item["metadata"]["name"]) for item in rendered(QUIET, "--namespace", installed)}
    expected -= {("Pod", "touge-test")}
    made = {"Endpoints", "EndpointSlice", "Pod", "ReplicaSet", "ControllerRevision"}
    found = {item for item in contents(plane, installed) if item[0] not in made}

    assert found == expected | {("Secret", "sh.helm.release.v1.touge.v1")}


def test_a_second_install_beside_the_first_is_another_release(plane, installed):
    helm_on(plane, installed, "install", "tokyo", str(CHART), values=QUIET)

    names = {item["metadata"]["name"] for item in plane.get("cronjobs", "--namespace", installed)["items"]}
    assert {"touge-train-lora", "tokyo-touge-train-lora"} <= names


def test_an_upgrade_changes_the_templates_keeps_the_stores_credentials_and_leaves_runs_alone(plane, installed):
    run = submitted(plane, installed)
    before = plane.get("secret", "touge-store", "--namespace", installed)["data"]
    (job,) = (name for kind, name in run if kind == "Job")
    running = plane.get("job", job, "--namespace", installed)["spec"]
    helm_on(plane, installed, "upgrade", "touge", str(CHART), values=QUIET | {"commonLabels": {"team": "roads"}})

    template = plane.get("cronjob", "touge-curate", "--namespace", installed)
    assert template["metadata"]["labels"]["team"] == "roads"
    assert plane.get("secret", "touge-store", "--namespace", installed)["data"] == before
    assert plane.get("job", job, "--namespace", installed)["spec"] == running


def test_an_uninstall_leaves_the_runs_and_nothing_else(plane, namespace):
    assert contents(plane, namespace) == set()
    install(plane, namespace, QUIET)
    run = submitted(plane, namespace)
    helm_on(plane, namespace, "uninstall", "touge", "--wait")
    mine = f"{plan_for().run}-curate-1-"

    def left():
        return {item for item in contents(plane, namespace) if not (item[0] == "Pod" and item[1].startswith(mine))}

    # helm waits for its own objects; the pods of its Deployments go a moment later, by the garbage collector
    wait_until(lambda: left() == run, "only the run is left", told=lambda: str(left() ^ run))


def test_the_chart_is_installed_by_who_may_do_nothing_but_fill_the_namespace(plane, namespace):
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "platform", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
        "subjects": [{"kind": "User", "name": "platform", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    plane.create([binding])
    command = (found(), "install", "touge", str(CHART), "--namespace", namespace, "--values", "-")
    done = plane.run(*command, given=QUIET, KUBECONFIG=str(plane.kubeconfig_of("platform")))

    assert done.returncode == 0, done.stderr
