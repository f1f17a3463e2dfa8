"""All of these call the `helm` binary; where there is none, they are skipped with a word on how to get it."""

from __future__ import annotations

import shutil

import pytest
from helm import EVERYTHING, TRIAL, WHY_SKIPPED, rendered


@pytest.fixture(autouse=True, scope="session")
def _helm():
    if shutil.which("helm") is None:
        pytest.skip(WHY_SKIPPED)


@pytest.fixture(scope="session")
def trial():
    """Return the objects of the smallest install."""
    return rendered(TRIAL)


@pytest.fixture(scope="session")
def everything():
    """Return the objects of an install with every feature."""
    return rendered(EVERYTHING)
