"""From the chart to the Job that is sent: what the controller makes of each template, for every shipped recipe."""

from __future__ import annotations

import pytest
from api_fields import unknown_fields
from helm import EVERYTHING, ROOT, TRIAL, rendered
from pod_security import violations
from run_builders import CODES, make_resolved

from controller.manifests import templates
from controller.manifests.job import Attempt, Owner, render
from controller.plan import make_plan
from touge.contract.environment import StageEnvironment
from touge.contract.plan import STAGE_NAMES
from touge.contract.recipe import load_recipe

RECIPES = sorted((ROOT / "jobs").glob("*.yaml"))
OWNER = Owner("bend-0123456789", "7f6a3c1e-0000-4000-8000-000000000001")


@pytest.fixture(scope="module", params=[TRIAL, EVERYTHING], ids=["trial", "everything"])
def installed(request):
    return templates.read_templates(rendered(request.param))


@pytest.fixture(params=RECIPES, ids=lambda path: path.stem)
def plan(request):
    recipe = load_recipe(request.param.read_text("utf-8"))
    return make_plan(recipe, make_resolved(recipe), CODES)


@pytest.fixture(params=STAGE_NAMES)
def job(request, plan, installed):
    return render(Attempt(plan, request.param), installed, OWNER)[-1]


def test_a_job_made_from_the_chart_is_one_that_the_cluster_takes(job):
    pod = job["spec"]["template"]["spec"]

    assert violations(pod) == []
    assert unknown_fields(job) == []
    for names in (pod["volumes"], pod["containers"][0]["env"]):
        assert len({item["name"] for item in names}) == len(names)


def test_such_a_job_tells_its_stage_everything_and_gives_it_where_to_write(job):
    container = job["spec"]["template"]["spec"]["containers"][0]
    told = {item["name"]: item.get("value", "from elsewhere") for item in container["env"]}
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]

    assert StageEnvironment.parse(told).stage == job["metadata"]["labels"]["touge/stage"]
    assert len(set(mounts)) == len(mounts)
    assert all(told[name].startswith("/cache") for name in ("HOME", "HF_HOME", "TRITON_CACHE_DIR"))
    assert "/cache" in mounts


def test_such_a_job_keeps_what_finds_it_and_nothing_that_tracks_it(job):
    labels = job["spec"]["template"]["metadata"]["labels"]

    assert labels["touge/release"] == "touge"
    assert labels["touge/template"] in labels["touge/stage"] or labels["touge/template"].startswith("train-")
    assert not [key for key in labels if key.startswith("helm.sh/")]


def test_a_recipe_without_a_gpu_is_released_from_gpu_nodes(installed):
    recipe = load_recipe((ROOT / "jobs" / "demo.yaml").read_text("utf-8"))
    plan = make_plan(recipe, make_resolved(recipe), CODES)
    pod = render(Attempt(plan, "train"), installed, OWNER)[-1]["spec"]["template"]["spec"]

    assert "affinity" not in pod
    assert "nvidia.com/gpu" not in pod["containers"][0]["resources"]["limits"]
