"""Every field of a manifest is one that Kubernetes knows, by its client's own models: others are dropped there."""

from __future__ import annotations

import pytest
from api_fields import unknown_fields
from job_templates import objects
from run_builders import make_recipe, plan_of

from touge.contract.plan import STAGE_NAMES


@pytest.mark.parametrize("stage", STAGE_NAMES)
@pytest.mark.parametrize("placement", [{}, {"labels": ["gke"], "gpuMemory": {"max": 96}}, {"dynamicAllocation": {}}])
def test_kubernetes_knows_every_field(stage, placement):
    plan = plan_of(make_recipe(resources={"nodes": 2, "gpus": 2}))

    assert [place for sent in objects(plan, stage, **placement) for place in unknown_fields(sent)] == []


def test_a_misspelt_field_is_found():
    job = {"apiVersion": "batch/v1", "kind": "Job"}
    pod = {"containers": [{"nme": "x"}]}

    assert unknown_fields(job | {"spec": {"template": {"spec": pod}}}) == ["Job.spec.template.spec.containers.0.nme"]
