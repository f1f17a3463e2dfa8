"""The whole pipeline, tiny, in real pods: the report of a laptop, whatever happens to pods, node, store and controller.

The pods run the real stages from this checkout (`checkout_pods`); those of the images are `test_pipeline`'s.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from checkout_pods import install_checkout
from daemons import child_of
from eventually import eventually
from leftovers import leftovers
from pipeline_place import PATIENCE_S, Place, measured, on_a_laptop, place_on
from whole_run import Desk

from touge.contract.exit_codes import ExitCode

pytestmark = pytest.mark.timeout(900)

#: Torch alone takes more.
TOO_LITTLE = "150Mi"
#: Longer than a node's lease, shorter than a pod stays on a node that is not ready.
FROZEN_S = 60


@pytest.fixture(scope="module")
def laptop(inputs, tmp_path_factory):
    return on_a_laptop(inputs, tmp_path_factory.mktemp("laptop"))


@pytest.fixture(scope="module")
def place(plane, node, open_namespace, inputs, tmp_path_factory):
    with place_on(plane, node, open_namespace, inputs, tmp_path_factory.mktemp("cluster"), install_checkout) as place:
        yield place


def test_two_submits_at_once_are_one_run_and_one_job_a_stage(place, tmp_path):
    words = ("submit", "recipe.yaml", "--wait", "--set", "train.steps=11")

    both = [desk.begin(*words) for desk in (place.desk, elsewhere(place.desk, tmp_path))]
    told = [submit.communicate(timeout=PATIENCE_S) for submit in both]

    assert [submit.returncode for submit in both] == [ExitCode.GATE_FAILED] * 2, told
    assert set(place.desk.attempts().values()) <= {0, 1}
    assert place.desk.attempts()["evaluate"] == 1


def elsewhere(desk: Desk, folder: Path) -> Desk:
    """Return the desk of somebody else, with the same recipe."""
    within = tuple(f"--wd={folder}" if word.startswith("--wd=") else word for word in desk.within)
    return replace(desk, folder=folder, within=within, variables=desk.variables | {"TOUGE_HOME": str(folder)}).write()


def evict(place: Place) -> None:
    pod = place.stage_pod("train")
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": place.namespace}}
    address = f"/api/v1/namespaces/{place.namespace}/pods/{pod}/eviction"
    place.plane.kubectl("create", "--raw", address, "--filename=-", given=eviction)


def delete_the_pod(place: Place) -> None:
    place.plane.kubectl("delete", "pod", place.stage_pod("train"), "--namespace", place.namespace, "--wait=false")


def delete_the_pod_at_once(place: Place) -> None:
    words = ("--namespace", place.namespace, "--grace-period=0", "--force")
    place.plane.kubectl("delete", "pod", place.stage_pod("train"), *words)


def kill_the_api_server(place: Place) -> None:
    place.plane.kill_apiserver()
    time.sleep(5)
    place.plane.restart_apiserver()


def kill_etcd(place: Place) -> None:
    place.plane.daemons["etcd"].kill()
    time.sleep(5)
    place.plane.daemons["etcd"].start()


def kill_kubelet_and_containerd(place: Place) -> None:
    place.node.restart()


def freeze_the_kubelet_for_a_minute(place: Place) -> None:
    kubelet = place.plane.daemons["kubelet"]
    kubelet.freeze()
    time.sleep(FROZEN_S)
    kubelet.thaw()


def take_the_store_away_for_a_minute(place: Place) -> None:
    place.store.stop()
    time.sleep(60)
    place.store.start()


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
    ],
    ids=lambda harm: harm.__name__,
)
def test_a_training_that_is_disturbed_ends_with_the_same_report(laptop, place, harm: Callable[[Place], None]):
    submit = place.disturbed(harm)
    out, err = submit.communicate(timeout=PATIENCE_S)

    assert submit.returncode == ExitCode.GATE_FAILED, out + err
    assert measured(place.report()) == measured(laptop)
    assert eventually(lambda: left_by(place) == [])


def left_by(place: Place) -> list[str]:
    return leftovers(place.plane, place.namespace, place.store.folder)


def test_a_controller_that_is_killed_is_replaced_by_submitting_again(laptop, place):
    submit = place.disturbed(lambda _: None)
    os.kill(child_of(submit.pid), signal.SIGKILL)
    submit.communicate(timeout=20)
    run = place.desk.status()["run"]

    done = place.desk.run("watch", run)

    assert done.code == ExitCode.GATE_FAILED, done.said
    assert measured(place.report()) == measured(laptop)


@pytest.fixture
def little_memory(place):
    """Give training less memory than it needs."""
    limit_memory(place, TOO_LITTLE)
    yield
    limit_memory(place, None)


def limit_memory(place: Place, limit: str | None) -> None:
    stage = {"name": "stage", "resources": {"limits": {"memory": limit}}}
    pod = {"template": {"spec": {"containers": [stage]}}}
    patch = json.dumps({"spec": {"jobTemplate": {"spec": pod}}})
    words = ("--namespace", place.namespace, "--type=strategic", "--patch", patch)
    place.plane.kubectl("patch", "cronjob", "touge-train-lora", *words)


def test_a_training_that_its_pods_memory_kills_is_told_so(place, little_memory):
    done = place.desk.submit("--wait", "--set", "train.steps=2")
    train = place.stage("train")

    assert done.code == ExitCode.RUN_FAILED, done.said
    assert (train["state"], train["reason"], train["attempts"]) == ("Failed", "HostMemory", 1)
    assert "memory" in done.said
