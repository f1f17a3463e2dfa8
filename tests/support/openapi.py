"""Strict JSON Schemas of Kubernetes' kinds, from the OpenAPI document that each version's own source holds.

The documents are pinned in tests/cluster/tools/openapi.sum, as go.sum pins: the oldest version that the chart allows,
the first with all that it can use, and that of the test cluster. `kubeconform` validates by them without a network.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: Where a version's schemas lie, as kubeconform's -schema-location has it.
LOCATION = "{{.ResourceKind}}{{.KindSuffix}}.json"
PINS = Path(__file__).parents[1] / "cluster" / "tools" / "openapi.sum"
_MODULE_DOCUMENT = "api/openapi-spec/swagger.json"
_KINDS = "x-kubernetes-group-version-kind"
_REF = "#/definitions/"
#: What the API takes and its OpenAPI document does not say: https://github.com/kubernetes/kubernetes/issues/55890
_LENIENT = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["string", "integer"]},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"]},
}

Schema = dict[str, Any]


def pinned() -> dict[str, str]:
    """Return the checksum of each version."""
    lines = [line.split() for line in PINS.read_text("utf-8").splitlines()]
    return {version: checksum for _, version, checksum in lines}


def download(version: str, path: Path) -> None:
    """Write a version's OpenAPI document.

    Raises:
        ValueError: The module is not the one that is pinned.
    """
    command = ["go", "mod", "download", "-json", f"k8s.io/kubernetes@{version}"]
    done = subprocess.run(command, cwd=path.parent, check=True, stdout=subprocess.PIPE, text=True)
    module = json.loads(done.stdout)
    if module["Sum"] != pinned()[version]:
        raise ValueError(f"k8s.io/kubernetes {version} is {module['Sum']}; {PINS.name} pins {pinned()[version]}")
    shutil.copyfile(Path(module["Dir"]) / _MODULE_DOCUMENT, path)


def schemas(document: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield a file name as kubeconform looks for it, and a schema that needs no other, for each kind."""
    strict = {name: _LENIENT.get(name) or _strict(schema) for name, schema in document["definitions"].items()}
    for name, schema in document["definitions"].items():
        for kind in schema.get(_KINDS, ()):
            group = kind["group"].split(".")[0]
            suffix = "-".join(["", *([group] if group else []), kind["version"]])
            yield f"{kind['kind'].lower()}{suffix}.json", {"$ref": _REF + name, "definitions": _reached(name, strict)}


def _strict(schema: Any) -> Any:
    """Return a schema that knows no other fields than those it names, and takes null as absent, as the API does."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _strict(value) for key, value in schema.items() if not key.startswith("x-") and key != "format"}
    if "properties" in schema:
        found["properties"] = {key: _or_null(_strict(item)) for key, item in schema["properties"].items()}
        found.setdefault("additionalProperties", False)
    return found


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _reached(start: str, definitions: dict[str, Schema]) -> dict[str, Schema]:
    found: dict[str, Schema] = {}
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = definitions[name]
            waiting += _references(definitions[name])
    return found


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for item in schema:
            yield from _references(item)
    elif isinstance(schema, dict):
        for key, item in schema.items():
            if key == "$ref" and isinstance(item, str):
                yield item.removeprefix(_REF)
            else:
                yield from _references(item)
