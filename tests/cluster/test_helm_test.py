"""`helm test` with the images that are built from the Dockerfiles."""

from __future__ import annotations

import pytest
from cluster_runs import SMALL
from installs import contents, helm_on, install

CONTROLLER = "docker.io/touge/controller:0.1.0"
images = pytest.importorskip("images", reason="the images are not built here yet")


def test_helm_test_asks_the_doctor_and_leaves_nothing_of_it(plane, node, namespace):
    node.load([images.built_images()[CONTROLLER]])
    install(plane, namespace, SMALL | {"controller": {"enabled": False}})
    helm_on(plane, namespace, "test", "touge", "--timeout=2m")

    assert ("Pod", "touge-test") not in contents(plane, namespace)
