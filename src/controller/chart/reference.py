"""What is generated from values: the schema from their types, the README's tables from values.yaml's comments. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from controller.chart.values import Values

#: What every Helm 3 and 4 reads.
_DIALECT = "http://json-schema.org/draft-07/schema#"
_BEGIN, _END = "<!-- values -->\n", "<!-- end of values -->\n"
_LINE = re.compile(r"(?P<indent> *)(?P<key>\w+):(?: (?P<value>[^#\s].*?))?(?: # (?P<comment>.*))?")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of values.yaml: where it stands, its default (empty for a heading), and what its comment says."""

    path: tuple[str, ...]
    default: str
    comment: str


class _TypesAndBounds(GenerateJsonSchema):
    """Leaves out titles and defaults: the latter stand in values.yaml."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 - pydantic's signature
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])


def schema_text() -> str:
    """Return values.schema.json."""
    schema = Values.model_json_schema(by_alias=True, schema_generator=_TypesAndBounds)
    document = {"$schema": _DIALECT, **schema}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def entries(values: str) -> Iterator[Entry]:
    """Yield each line of values.yaml with its comments: those above it at its own depth, and the one behind it."""
    path: list[str] = []
    above: list[str] = []
    for line in values.splitlines():
        if line.lstrip().startswith("#"):
            above.append(line.strip("# "))
        elif found := _LINE.fullmatch(line):
            path = [*path[: len(found["indent"]) // 2], found["key"]]
            yield Entry(tuple(path), found["value"] or "", " ".join([*above, found["comment"] or ""]).strip())
            above = []
        else:
            above = []


def with_tables(readme: str, values: str) -> str:
    """Return the README with the tables between its marks made anew."""
    before, rest = readme.split(_BEGIN)
    return f"{before}{_BEGIN}{tables(values)}{_END}{rest.split(_END)[1]}"


def tables(values: str) -> str:
    """Return one Markdown table for each part of values.yaml."""
    parts = groupby(entries(values), key=_heading)
    return "".join(_table(heading, list(part)) for heading, part in parts) + "\n"


def _heading(entry: Entry) -> str:
    """Return the part that an entry belongs to; single values at the top share one."""
    return "names" if entry.default and len(entry.path) == 1 else entry.path[0]


def _table(heading: str, part: list[Entry]) -> str:
    opening = part[0].comment if not part[0].default else ""
    lines = ["", f"### {heading}", "", *([opening, ""] if opening else []), "| value | default | |", "|---|---|---|"]
    rows = [_row(entry) for entry in part if entry.default or (entry.comment and entry is not part[0])]
    return "\n".join([*lines, *rows]) + "\n"


def _row(entry: Entry) -> str:
    default = f"`{entry.default}`" if entry.default else ""
    return f"| `{'.'.join(entry.path)}` | {default} | {entry.comment.replace('|', chr(92) + '|')} |"
