"""Packages that import what they offer when it is first asked for."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from controller.runners.kubernetes.deferred import deferred

FILES = {
    "outer/__init__.py": "from . import inner\nfrom outer.inner.leaf import NAME as other\nVERSION = '1'\n",
    "outer/inner/__init__.py": "import math\nfrom outer.inner.leaf import NAME\nfrom outer.inner.all import *\n",
    "outer/inner/leaf.py": "NAME = object()\n",
    "outer/inner/all.py": "ANOTHER = 2\n",
}


@pytest.fixture
def outer(tmp_path, monkeypatch):
    """Return a package whose statements import from inside of it."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with deferred("outer", "outer.inner"):
        yield importlib.import_module("outer")
    for name in [name for name in sys.modules if name.partition(".")[0] == "outer"]:
        del sys.modules[name]


def test_what_lies_inside_is_imported_when_it_is_asked_for(outer):
    assert "outer.inner" not in sys.modules
    assert outer.inner is sys.modules["outer.inner"]
    assert "outer.inner.leaf" not in sys.modules
    assert outer.other is outer.inner.NAME is sys.modules["outer.inner.leaf"].NAME


def test_a_packages_own_statements_run_as_ever(outer):
    assert outer.VERSION == "1"
    assert outer.inner.math is sys.modules["math"]
    assert outer.inner.ANOTHER == 2


def test_a_name_that_is_nowhere_is_an_attribute_error_of_the_package(outer):
    with pytest.raises(AttributeError, match="module 'outer' has no attribute 'nowhere'"):
        _ = outer.nowhere
    with pytest.raises(ImportError, match="cannot import name 'nowhere' from 'outer'"):
        exec("from outer import nowhere")


def test_afterwards_packages_are_imported_as_ever(tmp_path, monkeypatch):
    with deferred("plain"):
        pass
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain/__init__.py").write_text("from plain.leaf import NAME\n")
    (tmp_path / "plain/leaf.py").write_text("NAME = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("plain")
    assert sys.modules.pop("plain.leaf").NAME == sys.modules.pop("plain").NAME == 1


def test_the_client_still_has_every_name_that_it_offers():
    offered = _said_by(
        "import kubernetes.client as c, inspect; print(*(n for n, v in vars(c).items() if inspect.isclass(v)))"
    ).split()

    there = _said_by(
        "import sys, inspect, controller.runners.kubernetes.connection, kubernetes.client as c; "
        "print(*(n for n in sys.argv[1:] if inspect.isclass(getattr(c, n, None))))",
        *offered,
    ).split()

    assert len(offered) > 500
    assert there == offered


def test_a_connection_needs_no_model_of_the_clients():
    models = _said_by(
        "import sys, controller.runners.kubernetes.connection as c; c.client.ApiClient(c.client.Configuration()); "
        "print(*(n for n in sys.modules if n.startswith(('kubernetes.client.models.', 'kubernetes.client.api.'))))"
    )

    assert models.strip() == ""


def _said_by(program: str, *words: str) -> str:
    done = subprocess.run([sys.executable, "-c", program, *words], check=True, capture_output=True, text=True)
    return done.stdout
