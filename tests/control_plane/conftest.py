"""A real API server with its controllers and scheduler; the kubelet's part is played by hand. Skipped without them."""

import binaries
import pytest
from by_hand import Hands
from helm import CHART
from job_templates import NAMES, cronjob

from control_plane import ControlPlane
from controller.runners.kubernetes.client import Cluster
from controller.runners.kubernetes.connection import connect
from controller.runners.kubernetes.records import ConfigMapRecords

SUBJECTS = {
    "submitter": [{"kind": "User", "name": "sue"}],
    "runner": [{"kind": "User", "name": "ron"}],
}


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


@pytest.fixture(scope="module")
def install(plane):
    """Return a namespace that the chart is installed in, with its roles for `sue` and `ron`; its pods find no node."""
    if binaries.missing("helm"):
        pytest.skip(f"no helm in {binaries.folder()}; {binaries.HOW}")
    namespace = plane.restricted_namespace()
    values = {"storage": {"embedded": {"enabled": True}}, "rbac": {"readNodes": True, "subjects": SUBJECTS}}
    words = ("install", "touge", str(CHART), "--namespace", namespace, "--values", "-")
    done = plane.run(str(binaries.folder() / "helm"), *words, given=values)
    assert done.returncode == 0, done.stderr
    return namespace
