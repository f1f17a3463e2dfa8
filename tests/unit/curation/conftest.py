"""A store to curate into, and a folder of brought rows."""

import pytest
from curating import Curator, Rows


@pytest.fixture
def curator(tmp_path):
    return Curator(tmp_path / "curation")


@pytest.fixture
def rows(tmp_path):
    folder = tmp_path / "rows"
    folder.mkdir()
    return Rows(folder)
