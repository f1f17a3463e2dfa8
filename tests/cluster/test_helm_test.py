"""`helm test`, and the operator as the chart runs it, with the image that is built from its Dockerfile."""

from __future__ import annotations

import pytest
from cluster_runs import SMALL
from cluster_store import store_of
from installs import contents, helm_on, install


@pytest.fixture
def installed(plane, with_images, namespace):
    """Install the chart with its operator and a store, and wait until all of it is ready."""
    with_images("controller")
    with store_of(plane, namespace) as store:
        install(plane, namespace, SMALL | {"storage": store.values}, "--wait", "--timeout=2m")
        yield namespace


def test_helm_test_asks_the_doctor_and_leaves_nothing_of_it(plane, installed):
    helm_on(plane, installed, "test", "touge", "--timeout=2m")

    assert ("Pod", "touge-test") not in contents(plane, installed)


def test_the_operator_is_ready_once_it_has_listed_the_runs(plane, installed):
    (pod,) = plane.get("pods", "--namespace", installed, "--selector=app.kubernetes.io/component=controller")["items"]
    (container,) = pod["status"]["containerStatuses"]

    assert container["ready"]
    assert container["restartCount"] == 0
