"""Every field of a manifest is one that Kubernetes knows, by its client's own models: others are dropped there."""

from __future__ import annotations

import re

import pytest
from job_templates import objects
from kubernetes.client import models
from run_builders import make_recipe, plan_of

from touge.contract.plan import STAGE_NAMES

KINDS = {"Job": "V1Job", "Service": "V1Service", "ResourceClaimTemplate": "V1ResourceClaimTemplate"}


def unknown(model: str, value, path: str = "") -> list[str]:
    """Return the paths of fields that a model of the client does not have."""
    if inner := re.fullmatch(r"list\[(.*)\]", model):
        return [place for item in value for place in unknown(inner[1], item, f"{path}[]")]
    if not hasattr(models, model):
        return []
    kind = getattr(models, model)
    names = {key: name for name, key in kind.attribute_map.items()}
    wrong = [f"{path}.{key}" for key in value if key not in names]
    known = [(key, item) for key, item in value.items() if key in names]
    return wrong + [p for key, item in known for p in unknown(kind.openapi_types[names[key]], item, f"{path}.{key}")]


@pytest.mark.parametrize("stage", STAGE_NAMES)
@pytest.mark.parametrize("placement", [{}, {"labels": ["gke"], "gpuMemory": {"max": 96}}, {"dynamicAllocation": {}}])
def test_kubernetes_knows_every_field(stage, placement):
    plan = plan_of(make_recipe(resources={"nodes": 2, "gpus": 2}))

    assert [path for sent in objects(plan, stage, **placement) for path in unknown(KINDS[sent["kind"]], sent)] == []


def test_a_misspelt_field_is_found():
    assert unknown("V1Job", {"spec": {"template": {"spec": {"containers": [{"nme": "x"}]}}}}) == [
        ".spec.template.spec.containers[].nme"
    ]
