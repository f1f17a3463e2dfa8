"""Two installs that most tests look at."""

from __future__ import annotations

import pytest
from helm import EVERYTHING, TRIAL, rendered


@pytest.fixture(scope="session")
def trial():
    """Return the objects of the smallest install."""
    return rendered(TRIAL)


@pytest.fixture(scope="session")
def everything():
    """Return the objects of an install with every feature."""
    return rendered(EVERYTHING)
