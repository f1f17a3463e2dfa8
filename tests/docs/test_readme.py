"""What the README promises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FIRST_SCREEN = re.findall(r"^```\n(.*?)^```", README, re.MULTILINE | re.DOTALL)[0]
COMMANDS = [line.split("#")[0].strip() for line in FIRST_SCREEN.splitlines()]
PAGES = sorted(page for glob in ("*.md", "docs/**/*.md", "examples/**/*.md") for page in ROOT.glob(glob))


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("make ")])
def test_the_first_screens_commands_are_what_every_change_must_pass(command):
    assert command in (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()


def test_the_first_screen_installs_and_tests():
    assert ["make setup", "make test"] == COMMANDS


@pytest.mark.parametrize(
    "page", sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
)
def test_links_between_pages_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8"))

    assert [link for link in links if not (page.parent / link).exists()] == []
