"""The tiny world of training: one base model and one data set that no test changes, and a world for each test."""

import pytest
from tiny_training import World, starting, write_base

from touge.alpamayo.weights import checkpoint


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    return write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def world(tmp_path, base):
    return World(tmp_path, base)


@pytest.fixture(scope="session")
def inputs(tmp_path_factory, base):
    """Eight windows; one says more than the others, so that batches are padded."""
    shared = World(tmp_path_factory.mktemp("world"), base)
    longer = {"text": "Left curve ahead, slow down. Keep going straight.", "language": "en", "source": "template"}
    shared.curate(changes={3: {"reasoning": longer}})
    return shared.inputs()


@pytest.fixture
def start(tmp_path):
    """Start `python -m touge.training` in an environment; whatever is left in the end is killed."""
    with starting(tmp_path) as begin:
        yield begin


@pytest.fixture
def model(base):
    return checkpoint.load(base)[0]
