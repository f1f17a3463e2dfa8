"""The whole pipeline, tiny, in pods of the built images: the report of a laptop, whatever happens to the pods."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cluster_store import store_of
from daemons import child_of
from eventually import eventually
from helm import CHART, setting
from installs import helm_on, install
from real_node import NAME
from tiny_pipeline import recipe
from whole_run import Desk, environ

from touge.contract.exit_codes import ExitCode

#: The images are built where they are not there.
pytestmark = pytest.mark.timeout(5400)

USER = "ron"
PATIENCE_S = 900
TOO_LITTLE = {"requests": {"cpu": "100m", "memory": "150Mi"}, "limits": {"memory": "150Mi"}}
#: Longer than a node's lease, shorter than a pod stays on a node that is not ready.
FROZEN_S = 60
STEPS = "train.steps=300"
VALUES = {
    "images": {"pullPolicy": "Never"},
    "jobs": {
        "nodeSelector": {"kubernetes.io/hostname": NAME},
        "env": [{"name": "OMP_NUM_THREADS", "value": "1"}],
        "scratch": {"size": "2Gi"},
        "sharedMemory": "64Mi",
        "gracePeriodSeconds": 30,
    },
    "stages": {
        stage: {"resources": {"requests": {"cpu": "100m", "memory": "256Mi"}}} for stage in ("curate", "evaluate")
    },
    "methods": {"lora": {"resources": {"requests": {"cpu": "100m", "memory": "256Mi"}}}},
    "controller": {"enabled": False},
    "rbac": {"readNodes": True, "subjects": {"runner": [{"kind": "User", "name": USER}]}},
}


@pytest.fixture(scope="module")
def laptop(inputs, tmp_path_factory) -> dict:
    """Return the report of the same recipe on this machine."""
    place = Desk(tmp_path_factory.mktemp("laptop"), recipe(f"file://{inputs}"), patience_s=PATIENCE_S).write()
    done = place.submit("--set", STEPS)
    assert done.code == ExitCode.GATE_FAILED, done.said
    return json.loads((place.artifact("evaluate") / "report.json").read_text())


class OnCluster:
    """An install with images and a store, and somebody who submits to it from beside the cluster."""

    def __init__(self, plane, node, store, namespace, inputs, folder) -> None:
        self.plane, self.node, self.store, self.namespace = plane, node, store, namespace
        addresses = {name: store.upload(inputs / name, name) for name in ("drives", "base")}
        variables = environ(
            KUBECONFIG=str(plane.kubeconfig_of(USER)),
            TOUGE_RUNNER="kubernetes",
            TOUGE_NAMESPACE=namespace,
            TOUGE_HOME=str(folder / "home"),
            **store.environ,
        )
        within = (*plane.within[:-1], f"--wd={folder}", "--")
        root = addresses["drives"].removesuffix("/drives")
        self.desk = Desk(folder, recipe(root), variables, within, PATIENCE_S).write()

    def report(self) -> dict:
        """Return the newest run's report."""
        return json.loads(self.desk.run("report", "-o", "json").out)

    def status(self) -> dict:
        return self.desk.status()

    def stage_pod(self, stage: str) -> str:
        """Return the name of the stage's running pod."""
        selector = f"--selector=touge/stage={stage}"

        def running():
            pods = self.plane.get("pods", "--namespace", self.namespace, selector)["items"]
            return [pod["metadata"]["name"] for pod in pods if pod["status"].get("phase") == "Running"]

        return eventually(running, 120)[-1]

    def checkpoints(self) -> set[Path]:
        return set(self.store.folder.glob("touge/stages/train-*/executions/*/checkpoints/*/manifest.json"))


@pytest.fixture(scope="module")
def namespace(plane):
    name = plane.restricted_namespace()
    yield name
    plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def on_cluster(plane, node, with_images, namespace, inputs, tmp_path_factory):
    with_images("curate", "train", "evaluate")
    with store_of(plane, namespace) as store:
        install(plane, namespace, VALUES | {"storage": store.values})
        yield OnCluster(plane, node, store, namespace, inputs, tmp_path_factory.mktemp("cluster"))


def measured(report: dict) -> dict:
    """Return what a report measured, without what names its run."""
    return {part: report[part] for part in ("models", "windows", "verdict")}


def test_pods_of_the_images_report_what_the_laptop_reports(laptop, on_cluster):
    done = on_cluster.desk.submit("--wait", "--set", STEPS)

    assert done.code == ExitCode.GATE_FAILED, done.said
    assert measured(on_cluster.report()) == measured(laptop)


def test_submitting_again_from_anywhere_attaches(on_cluster):
    done = on_cluster.desk.submit("--wait", "--set", STEPS)

    assert done.code == ExitCode.GATE_FAILED, done.said
    assert "attached" in done.err


def test_two_submits_at_once_are_one_run_and_one_job_a_stage(on_cluster, tmp_path_factory):
    other = elsewhere(on_cluster.desk, tmp_path_factory.mktemp("other"))
    words = ("submit", "recipe.yaml", "--wait", "--set", "train.steps=11")

    both = [desk.begin(*words) for desk in (on_cluster.desk, other)]
    told = [submit.communicate(timeout=PATIENCE_S) for submit in both]
    status = on_cluster.status()

    assert [submit.returncode for submit in both] == [ExitCode.GATE_FAILED] * 2, told
    assert {stage["name"]: stage["attempts"] for stage in status["stages"] if stage["attempts"]} == {
        "train": 1,
        "evaluate-map": 1,
        "evaluate": 1,
    }


def elsewhere(desk: Desk, folder: Path) -> Desk:
    """Return the desk of somebody else, with the same recipe."""
    within = tuple(f"--wd={folder}" if word.startswith("--wd=") else word for word in desk.within)
    return replace(desk, folder=folder, within=within, variables=desk.variables | {"TOUGE_HOME": str(folder)}).write()


def evict(place: OnCluster) -> None:
    pod = place.stage_pod("train")
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": place.namespace}}
    address = f"/api/v1/namespaces/{place.namespace}/pods/{pod}/eviction"
    place.plane.kubectl("create", "--raw", address, "--filename=-", given=eviction)


def delete_the_pod(place: OnCluster) -> None:
    place.plane.kubectl("delete", "pod", place.stage_pod("train"), "--namespace", place.namespace, "--wait=false")


def delete_the_pod_at_once(place: OnCluster) -> None:
    words = ("--namespace", place.namespace, "--grace-period=0", "--force")
    place.plane.kubectl("delete", "pod", place.stage_pod("train"), *words)


def kill_the_api_server(place: OnCluster) -> None:
    place.plane.kill_apiserver()
    time.sleep(5)
    place.plane.restart_apiserver()


def kill_etcd(place: OnCluster) -> None:
    place.plane.daemons["etcd"].kill()
    time.sleep(5)
    place.plane.daemons["etcd"].start()


def kill_kubelet_and_containerd(place: OnCluster) -> None:
    place.node.restart()


def freeze_the_kubelet_for_a_minute(place: OnCluster) -> None:
    kubelet = place.plane.daemons["kubelet"].pid
    os.kill(kubelet, signal.SIGSTOP)
    time.sleep(FROZEN_S)
    os.kill(kubelet, signal.SIGCONT)


def take_the_store_away_for_a_minute(place: OnCluster) -> None:
    place.store.stop()
    time.sleep(60)
    place.store.start()


def upgrade_the_chart(place: OnCluster) -> None:
    upgrade(place, VALUES | {"commonLabels": {"team": "perception"}})


def upgrade(place: OnCluster, values: dict) -> None:
    values = values | {"storage": place.store.values}
    helm_on(place.plane, place.namespace, "upgrade", "touge", str(CHART), values=values)


@pytest.mark.parametrize(
    "harm",
    [
        evict,
        delete_the_pod,
        delete_the_pod_at_once,
        kill_the_api_server,
        kill_etcd,
        kill_kubelet_and_containerd,
        freeze_the_kubelet_for_a_minute,
        take_the_store_away_for_a_minute,
        upgrade_the_chart,
    ],
    ids=lambda harm: harm.__name__,
)
def test_a_training_that_is_disturbed_ends_with_the_same_report(laptop, on_cluster, harm: Callable[[OnCluster], None]):
    submit = disturbed(on_cluster, harm)
    out, err = submit.communicate(timeout=PATIENCE_S)

    assert submit.returncode == ExitCode.GATE_FAILED, out + err
    assert measured(on_cluster.report()) == measured(laptop)


def test_a_controller_that_is_killed_is_replaced_by_submitting_again(laptop, on_cluster):
    submit = disturbed(on_cluster, lambda _: None)
    os.kill(child_of(submit.pid), signal.SIGKILL)
    submit.communicate(timeout=20)
    run = on_cluster.status()["run"]

    done = on_cluster.desk.run("watch", run)

    assert done.code == ExitCode.GATE_FAILED, done.said
    assert measured(on_cluster.report()) == measured(laptop)


def test_a_training_that_its_pods_memory_kills_is_told_so(on_cluster):
    upgrade(on_cluster, setting("methods.lora.resources", TOO_LITTLE, base=VALUES))

    done = on_cluster.desk.submit("--wait", "--set", "train.steps=2")
    train = stage_of(on_cluster.status(), "train")

    assert done.code == ExitCode.RUN_FAILED, done.said
    assert (train["state"], train["reason"], train["attempts"]) == ("Failed", "HostMemory", 1)
    assert "memory" in done.said


def test_an_image_that_is_not_there_is_what_a_run_waits_for(on_cluster):
    upgrade(on_cluster, setting("images.train.tag", "0.1.0-nowhere", base=VALUES))

    done = on_cluster.desk.submit("--wait", "--timeout", "40", "--set", "train.steps=3")
    train = stage_of(on_cluster.status(), "train")
    on_cluster.desk.run("cancel", on_cluster.status()["run"])

    assert done.code == ExitCode.WAIT_TIMEOUT, done.said
    assert train["state"] == "Pulling"
    assert "touge/train:0.1.0-nowhere" in train["message"]


def stage_of(status: dict, name: str) -> dict:
    return next(stage for stage in status["stages"] if stage["name"] == name)


def disturbed(place: OnCluster, harm: Callable[[OnCluster], None]):
    """Begin a run of its own, and do harm as soon as its training has kept something; return the submission."""
    before = place.checkpoints()
    submit = place.desk.begin("submit", "recipe.yaml", "--wait", "--no-reuse", "--set", STEPS)
    assert eventually(lambda: place.checkpoints() - before or submit.poll() is not None, 300)
    assert submit.poll() is None, submit.communicate()
    harm(place)
    return submit
