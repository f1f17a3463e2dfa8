"""Which pins an image installs."""

from __future__ import annotations

import tomllib

import pytest
from build_images import ROOT
from pins import blocks, chosen, main, requirements

PROJECT = {
    "dependencies": ["pydantic>=2"],
    "optional-dependencies": {"train": ["torch>=2", "numpy>=2"], "eval": ["touge[train]", "scipy>=1"]},
}
CONSTRAINTS = """\
numpy==2.4 ; python_full_version < '3.12' \\
    --hash=sha256:aa \\
    --hash=sha256:bb
numpy==2.5 ; python_full_version >= '3.12' \\
    --hash=sha256:cc
types-pyyaml==6.0 \\
    --hash=sha256:dd
"""


def test_an_extra_brings_the_packages_own_dependencies():
    assert ["pydantic>=2", "torch>=2", "numpy>=2"] == requirements(PROJECT, "train")


def test_an_extra_of_extras_is_followed():
    assert ["pydantic>=2", "torch>=2", "numpy>=2", "scipy>=1"] == requirements(PROJECT, "eval")


def test_an_unknown_extra_is_refused_with_those_that_there_are():
    with pytest.raises(SystemExit, match=r"no extra 'evaluate'.*train, eval"):
        requirements(PROJECT, "evaluate")


def test_a_package_that_differs_by_python_has_all_its_pins_with_their_hashes():
    assert CONSTRAINTS.partition("types")[0] == chosen(blocks(CONSTRAINTS), ["numpy"])


def test_a_package_is_found_however_its_name_is_written():
    assert chosen(blocks(CONSTRAINTS), ["types_PyYAML"]).startswith("types-pyyaml==6.0")


def test_a_package_without_a_pin_is_refused_by_name():
    with pytest.raises(SystemExit, match=r"not pinned in constraints.txt: left-pad, torch\."):
        chosen(blocks(CONSTRAINTS), ["torch", "numpy", "left-pad"])


def test_every_pin_of_the_project_has_a_hash():
    pins = blocks((ROOT / "constraints.txt").read_text("utf-8"))

    assert [] == [name for name, found in pins.items() for block in found if "--hash=sha256:" not in block]


def test_the_builds_own_tool_is_pinned_like_everything_else(capsys):
    main(["--only", "setuptools"], ROOT)

    assert "--hash=sha256:" in capsys.readouterr().out


@pytest.mark.parametrize("extra", ["controller", "curate", "train", "eval"])
def test_every_requirement_of_an_images_extra_is_pinned(extra):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    names = [needed.partition(">")[0] for needed in requirements(project, extra)]

    assert chosen(blocks((ROOT / "constraints.txt").read_text("utf-8")), names)
