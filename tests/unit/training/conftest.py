"""The tiny world of training, and one base model for the whole session."""

import pytest
from tiny_training import World, write_base


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    return write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def world(tmp_path, base):
    return World(tmp_path, base)
