"""One store of each kind for every contract test."""

import pytest
from s3_server import serving

from touge.storage import open_store


@pytest.fixture(scope="session")
def s3_server():
    with serving() as server:
        yield server


@pytest.fixture(params=["file", "s3"])
def store(request, tmp_path):
    if request.param == "file":
        return open_store(f"file://{tmp_path}/store")
    return request.getfixturevalue("s3_server").new_store()
