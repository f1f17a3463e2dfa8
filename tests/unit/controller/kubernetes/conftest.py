"""An API server that does as it is told."""

import pytest
import scripted_api


@pytest.fixture
def api(tmp_path):
    with scripted_api.serving(tmp_path) as server:
        yield server


@pytest.fixture
def cluster(api, monkeypatch):
    return api.cluster(monkeypatch)
