"""Every value does something: set to another one, it changes what is installed, or is refused with a reason."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml
from helm import CHART, EVERYTHING, TRIAL, setting, template

SCHEMA = json.loads((CHART / "values.schema.json").read_text("utf-8"))
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
CLAIMS = setting("placement.dynamicAllocation.enabled", value=True)
#: What helm makes up anew each time.
_RANDOM = re.compile(r"(AWS_\w+: )[A-Za-z0-9+/=]{20,}")
_OTHER = {"IfNotPresent": "Always", "secret": "identity"}


def leaves(schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield every value that can be set, by its dotted path, with another value than any that it has."""
    for key, field in schema.get("properties", {}).items():
        inner = SCHEMA["$defs"][field["$ref"].rpartition("/")[2]] if "$ref" in field else field
        place = (*path, key)
        if "examples" in field:
            yield ".".join(place), field["examples"][0]
        elif "properties" in inner:
            yield from leaves(inner, place)
        elif inner["type"] == "boolean":
            yield ".".join(place), bool
        else:
            yield ".".join(place), _OTHER[inner["enum"][0]]


LEAVES = dict(leaves(SCHEMA))


def changed(base: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a copy with one value set; a switch is turned from where it is."""
    values = json.loads(json.dumps(base))
    *folders, leaf = path.split(".")
    node, usual = values, DEFAULTS
    for folder in folders:
        node, usual = node.setdefault(folder, {}), usual.get(folder, {})
    node[leaf] = not node.get(leaf, usual.get(leaf)) if value is bool else value
    return values


@cache
def installed(values: str) -> tuple[int, str]:
    done = template(json.loads(values))
    return done.returncode, _RANDOM.sub(r"\1", done.stdout) or done.stderr


def outcome(values: dict[str, Any]) -> tuple[int, str]:
    return installed(json.dumps(values))


def effect(path: str) -> tuple[int, str] | None:
    """Return what an install becomes with one value changed, in the first that it changes."""
    for base in (EVERYTHING, TRIAL, CLAIMS):
        usual, other = outcome(base), outcome(changed(base, path, LEAVES[path]))
        assert usual[0] == 0, usual[1]
        if usual != other:
            return other
    return None


@pytest.mark.parametrize("path", LEAVES)
def test_a_value_changes_what_is_installed_or_is_refused_with_a_reason(path):
    found = effect(path)

    assert found is not None
    assert found[0] == 0 or "values of touge: " in found[1]


def written(values: dict[str, Any], schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield the places of values.yaml that the schema does not know by name."""
    for key, value in values.items():
        field = schema.get("properties", {}).get(key)
        if field is None:
            yield f"{path}{key}"
        elif isinstance(value, dict) and "$ref" in field and "examples" not in field:
            yield from written(value, SCHEMA["$defs"][field["$ref"].rpartition("/")[2]], f"{path}{key}.")


def test_every_default_is_in_the_schema():
    assert list(written(DEFAULTS, SCHEMA)) == []


def test_every_value_that_must_be_there_has_a_default_and_so_has_every_stage():
    stage = set(SCHEMA["$defs"]["Stage"]["properties"])

    assert set(DEFAULTS) == set(SCHEMA["properties"])
    assert set(DEFAULTS["jobs"]) == stage


@pytest.mark.parametrize("path", sorted(CHART.glob("templates/**/*.*")), ids=lambda path: path.name)
def test_a_template_reads_no_value_that_is_not_there(path):
    used = set(re.findall(r"\.Values\.([A-Za-z.]+\b)", path.read_text("utf-8")))

    assert [place for place in used if not has_default(place.split("."))] == []


def has_default(keys: list[str]) -> bool:
    node: Any = DEFAULTS
    for key in keys:
        if not isinstance(node, dict) or key not in node:
            return False
        node = node[key]
    return True


def test_no_mapping_is_open_but_where_kubernetes_names_the_keys():
    open_ones = [name for name, item in SCHEMA["$defs"].items() if item.get("additionalProperties") is not False]

    assert open_ones == ["Global"]
    assert SCHEMA["additionalProperties"] is False


def test_the_number_of_values_that_are_walked_is_that_of_the_schema():
    assert len(LEAVES) > 150
