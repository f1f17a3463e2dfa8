"""Which bases are refused, and in what words. The script runs with made-up programs in place of a base's."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from build_images import ROOT

#: A Python of a given version, with or without a module.
_PYTHON = """#!/bin/sh
case "$*" in
  --version) echo Python {version} ;;
  *version_info*) exit {too_old} ;;
  *ensurepip*) exit {no_venv} ;;
esac
"""


@pytest.fixture
def base(tmp_path):
    """Return what makes a base of programs and asks whether it will do."""

    def ask(*tools: str, version: str = "3.11.2", venv: bool = True) -> subprocess.CompletedProcess[str]:
        too_old = int(version.split(".")[1]) < 11
        for tool in tools:
            text = _PYTHON.format(version=version, too_old=int(too_old), no_venv=int(not venv))
            program = tmp_path / tool
            program.write_text(text if tool == "python3" else "#!/bin/sh\n")
            program.chmod(0o755)
        command = [shutil.which("sh"), str(ROOT / "images/check-base.sh")]
        return subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)

    return ask


def test_debian_with_a_recent_python_will_do(base):
    assert 0 == base("dpkg", "apt-get", "python3").returncode


@pytest.mark.parametrize(
    ("tools", "more", "words"),
    [
        (("python3",), {}, "BASE_IMAGE is "),
        (("dpkg", "apt-get"), {}, "BASE_IMAGE has no python3"),
        (("dpkg", "apt-get", "python3"), {"version": "3.9.2"}, "BASE_IMAGE has Python 3.9.2"),
        (("dpkg", "apt-get", "python3"), {"venv": False}, "BASE_IMAGE has Python without ensurepip and venv"),
    ],
)
def test_another_base_is_refused_in_one_line_that_says_what_will_do(base, tools, more, words):
    done = base(*tools, **more)

    assert done.returncode == 1
    assert done.stderr.startswith(words)
    assert "python:3.11-slim-bookworm" in done.stderr
    assert 1 == len(done.stderr.splitlines())
