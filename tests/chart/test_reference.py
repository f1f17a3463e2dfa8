"""What is generated is current, what is one version agrees."""

from __future__ import annotations

import re
import tomllib

import pytest
import yaml
from helm import CHART, ROOT, template

from controller.chart.reference import Entry, entries, schema_text, with_tables

VALUES = (CHART / "values.yaml").read_text("utf-8")
README = (CHART / "README.md").read_text("utf-8")
META = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))


def test_the_schema_is_that_of_the_types():
    assert (CHART / "values.schema.json").read_text("utf-8") == schema_text(), "make schema"


def test_the_readmes_tables_are_those_of_the_values():
    assert with_tables(README, VALUES) == README, "make schema"


def test_the_readmes_example_can_be_installed():
    (example,) = re.findall(r"^```yaml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    done = template(yaml.safe_load(example))

    assert done.returncode == 0, done.stderr


def test_chart_application_and_package_are_of_one_version():
    package = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]

    assert {META["version"], META["appVersion"]} == {package}


def test_suffixed_versions_of_kubernetes_are_admitted():
    assert META["kubeVersion"] == ">=1.31.0-0"


def test_the_values_fit_on_some_screens():
    assert len(VALUES.splitlines()) <= 200


def test_every_leaf_or_its_heading_says_what_it_is():
    explained = {entry.path for entry in entries(VALUES) if entry.comment}
    bare = [
        entry for entry in entries(VALUES) if not any(entry.path[: n + 1] in explained for n in range(len(entry.path)))
    ]

    assert bare == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1 # one", Entry(("a",), "1", "one")),
        ("# above\na: 1", Entry(("a",), "1", "above")),
        ("# above\na: 1 # behind", Entry(("a",), "1", "above behind")),
        ("# lost\n\na: 1", Entry(("a",), "1", "")),
        ('a: "" # empty: none', Entry(("a",), '""', "empty: none")),
    ],
)
def test_a_line_of_values_is_read_with_its_comments(text, expected):
    assert list(entries(text)) == [expected]


def test_a_path_follows_the_indentation():
    assert [entry.path for entry in entries("a:\n  b: 1\n  c:\n    d: 2\ne: 3")] == [
        ("a",), ("a", "b"), ("a", "c"), ("a", "c", "d"), ("e",),
    ]  # fmt: skip


def test_every_line_of_the_values_is_read():
    settings = [line for line in VALUES.splitlines() if line.strip() and not line.lstrip().startswith("#")]

    assert len(list(entries(VALUES))) == len(settings)
