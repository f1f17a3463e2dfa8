"""Settings of every test: no property is judged by how long it took. And what two folders of tests begin with."""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("touge", deadline=None)
settings.load_profile("touge")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes minutes: begun last, the other workers would wait for it."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the drives and the base of the tiny pipeline."""
    from tiny_pipeline import write_inputs  # slow, and of few tests

    folder = tmp_path_factory.mktemp("inputs")
    write_inputs(folder)
    return folder
