"""Settings of every test: no property is judged by how long it took, no test inherits another's logging."""

from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

settings.register_profile("touge", deadline=None)
settings.load_profile("touge")


@pytest.fixture(autouse=True)
def _logging_ends_with_the_test() -> Iterator[None]:
    """Forget what a command that ran in this process configured: it writes to a stream that pytest closes."""
    yield
    structlog.reset_defaults()
