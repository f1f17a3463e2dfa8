"""One cluster for all tests here. Where it cannot run, the session ends at once with all that is missing."""

from __future__ import annotations

import functools

import binaries
import pytest
from image_store import archived
from sandbox import kernel_settings, missing_for_a_node

from cluster import running


def pytest_sessionstart() -> None:
    """Say what this machine lacks before anything is started."""
    lacking = missing_for_a_node()
    if absent := binaries.missing():
        lacking = [f"{', '.join(absent)} in {binaries.folder()}: {binaries.HOW}", *lacking]
    if lacking:
        raise pytest.UsageError("the test cluster cannot run here:\n  - " + "\n  - ".join(lacking))


@pytest.fixture(scope="session")
def kernel_before():
    """Return what the machine's kernel was set to before the cluster."""
    return kernel_settings()


@pytest.fixture(scope="session")
def cluster(kernel_before):
    """Return the cluster: control plane, fake GPU nodes, and a real node."""
    with running() as made:
        yield made


@pytest.fixture(scope="session")
def plane(cluster):
    """Return its control plane."""
    return cluster.plane


@pytest.fixture(scope="session")
def node(cluster):
    """Return its real node."""
    return cluster.node


@pytest.fixture(scope="session")
def with_images(node):
    """Return a function that brings images of this checkout to the node; each is built where it is not there."""

    @functools.cache
    def bring(image):
        with archived(image) as path:
            node.load([path])

    return lambda *names: [bring(name) for name in names]


@pytest.fixture(scope="module")
def open_namespace(plane):
    """Return a module's namespace in which pods may mount what is the node's (`checkout_pods`)."""
    name = plane.namespace({"pod-security.kubernetes.io/enforce": "privileged"})
    yield name
    plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def namespace(plane):
    """Return a namespace of the test's own that enforces Pod Security "restricted"."""
    name = plane.restricted_namespace()
    yield name
    plane.kubectl("delete", "namespace", name, "--wait=false")
