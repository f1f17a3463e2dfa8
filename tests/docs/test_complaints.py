"""Every complaint of neighbours' users names tests that there are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [line for line in (ROOT / "docs/complaints.md").read_text("utf-8").splitlines() if line.startswith("| ")][1:]
NAMED = [named for row in ROWS for named in re.findall(r"`(tests/[^`]+)::(\w+)`", row)]


def test_all_fourteen_are_there_and_each_names_a_test():
    assert [row for row in ROWS if "::test_" not in row] == []
    assert len(ROWS) == 14


@pytest.mark.parametrize(("module", "test"), NAMED)
def test_a_test_that_is_named_exists(module, test):
    tree = ast.parse((ROOT / module).read_text("utf-8"))

    assert test in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
