"""A real S3 server for those that ask for it."""

import pytest
from s3_server import serving


@pytest.fixture(scope="session")
def s3_server():
    with serving() as server:
        yield server
