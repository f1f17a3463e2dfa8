"""A real API server with its controllers and scheduler; the kubelet's part is played by hand. Skipped without them."""

import pytest
from by_hand import Hands
from job_templates import NAMES, cronjob

from control_plane import ControlPlane
from controller.runners.kubernetes.client import Cluster
from controller.runners.kubernetes.connection import connect
from controller.runners.kubernetes.records import ConfigMapRecords


@pytest.fixture(scope="session")
def plane():
    with ControlPlane() as made:
        yield made


@pytest.fixture
def namespace(plane):
    name = plane.restricted_namespace()
    yield name
    plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def cluster(plane, namespace, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig))
    return Cluster(connect(namespace))


@pytest.fixture
def hands(plane, namespace):
    return Hands(plane, namespace)


@pytest.fixture
def records(cluster, hands, namespace):
    for name in NAMES:
        document = cronjob(name)
        document["metadata"]["namespace"] = namespace
        document["spec"]["jobTemplate"]["spec"]["template"]["spec"].pop("serviceAccountName")
        hands.kubectl("create", "--filename=-", given=document)
    return ConfigMapRecords(cluster)
