"""Which lines of the chart's templates an install runs: each has a mark, a `lookup`, for which the server is asked.

A lookup that finds nothing prints nothing, so a traced chart renders what the chart renders. A mark stands at the end
of its line: behind an `if`, `with` or `range` it is inside, so a line with one counts only where the branch was taken.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from helm import CHART

_NAMESPACE = "traced-lines"
_ACTION = re.compile(r"\{\{-?\s*(?P<comment>/\*.*?\*/)?(?P<body>.*?)-?\}\}", re.DOTALL)
_ASKED = re.compile(rf"/api/v1/namespaces/{_NAMESPACE}/configmaps/(?P<mark>[^\s?]+)")
_ACTION_OF_A_MARK = f'{{{{{{{{ $_ := lookup "v1" "ConfigMap" "{_NAMESPACE}" "{{}}" {{}}}}}}}}}}'
_OPENING = ("if ", "with ", "range ", "define ", "block ")


def traced(folder: Path, known: frozenset[str] = frozenset()) -> tuple[Path, dict[str, str]]:
    """Write a chart that tells which of its lines are run; return it, and by which mark each line is told.

    Lines are called `file:number`. Those without a condition between them share a mark.

    Args:
        folder: Where the chart's folder is made.
        known: Marks that are left out, because it is known that they are run.
    """
    chart = folder / CHART.name
    shutil.copytree(CHART, chart)
    told: dict[str, str] = {}
    for path in sorted(chart.glob("templates/**/*.*")):
        name, text = path.relative_to(chart / "templates").as_posix(), path.read_text("utf-8")
        marks, mark = {}, ""
        for line in _lines(text, every=not name.startswith("_")):
            if not line.follows:
                mark = f"{name}:{line.number}".replace("/", "..")
            told[f"{name}:{line.number}"] = mark
            if mark not in known and not line.follows:
                marks[line.end] = _ACTION_OF_A_MARK.format(mark, "-" if line.trims else "")
        path.write_text(_with(text, marks), "utf-8")
    return chart, told


def run_marks(asked: list[str]) -> set[str]:
    """Return the marks that a server was asked for."""
    return {found["mark"] for path in asked if (found := _ASKED.match(path))}


@dataclass(frozen=True, slots=True)
class _Line:
    """A line that says something.

    Args:
        number: From 1.
        end: Position of its end in the text.
        follows: Whether it is run whenever the line before it is.
        trims: Whether it ends with an action that takes the white space behind it.
    """

    number: int
    end: int
    follows: bool
    trims: bool


def _lines(text: str, *, every: bool) -> Iterator[_Line]:
    """Yield the lines of a template; outside of any definition only where `every` is true, for they are never run.

    A line within an action of several lines counts with the action's last.
    """
    actions = list(_ACTION.finditer(text))
    position, branched = 0, True
    for number, line in enumerate(text.splitlines(), start=1):
        end = position + len(line)
        branched |= any(_branches(action) for action in actions if position < action.end() <= end)
        inside = any(action.start() < end < action.end() for action in actions)
        depth = sum(_change(action) for action in actions if action.end() <= end)
        if _said(actions, text, position, end) and not inside and (depth or every):
            yield _Line(number, end, follows=not branched, trims=line.endswith("-}}"))
            branched = False
        position = end + 1


def _branches(action: re.Match[str]) -> bool:
    """Whether what stands behind an action may be run without what stands before it."""
    return not action["comment"] and action["body"].strip().startswith((*_OPENING, "else", "end"))


def _change(action: re.Match[str]) -> int:
    """Return by how much an action deepens what follows it."""
    body = "" if action["comment"] else action["body"].strip()
    return body.startswith(_OPENING) - (body == "end")


def _said(actions: list[re.Match[str]], text: str, start: int, end: int) -> str:
    """Return what a line holds beside comments and the ends of blocks, which say nothing of their own."""
    kept = list(text[start:end])
    for action in actions:
        if action["comment"] or action["body"].strip() == "end":
            for place in range(max(action.start(), start), min(action.end(), end)):
                kept[place - start] = " "
    return "".join(kept).strip()


def _with(text: str, inserted: dict[int, str]) -> str:
    for position in sorted(inserted, reverse=True):
        text = text[:position] + inserted[position] + text[position:]
    return text
