"""Which fields Kubernetes' API knows, by the models of its Python client: a strict check without a cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kubernetes.client import models

_CONTAINER = re.compile(r"(?:list\[|dict\[str, )(?P<inner>.*)\]")
_SCALARS = {"str": str, "int": int, "bool": bool}
#: The client names a model after its group where two groups have one.
_NAMES = {"V1Subject": "RbacV1Subject"}


def unknown_fields(document: dict[str, Any]) -> list[str]:
    """Return the places of an object that the API does not know; of other APIs than Kubernetes' own, none."""
    group = document["apiVersion"].rpartition("/")[0]
    if "." in group and not group.endswith(".k8s.io"):
        return []
    return list(_unknown(document, f"V1{document['kind']}", document["kind"]))


def _unknown(value: Any, kind: str, place: str) -> Iterator[str]:
    kind = _NAMES.get(kind, kind)
    if found := _CONTAINER.fullmatch(kind):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _unknown(item, found["inner"], f"{place}.{key}")
    elif model := getattr(models, kind, None):
        fields = {key: model.openapi_types[name] for name, key in model.attribute_map.items()}
        yield from (f"{place}.{key}" for key in value if key not in fields)
        for key in value.keys() & fields.keys():
            yield from _unknown(value[key], fields[key], f"{place}.{key}")
    elif not isinstance(value, _SCALARS.get(kind, object)):
        yield f"{place}: {value!r} is no {kind}"
