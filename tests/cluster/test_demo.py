"""`jobs/demo.yaml` in pods of the built images: from `helm install` to the report that `make demo` makes.

Takes the laptop's demo, which is made where it is not there, and half an hour.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from checkout_pods import RUNNER, VALUES, desk_of
from cluster_store import store_of
from helm import ROOT
from installs import install
from pipeline_place import measured
from whole_run import Desk, environ

from touge.contract.recipe import load_recipe

pytestmark = pytest.mark.timeout(7200)

_PATIENCE_S = 3600
_DEMO = ROOT / "jobs/demo.yaml"


@pytest.fixture(scope="module")
def laptop():
    """Return exit code and report of the demo outside a cluster, where `make demo` leaves them."""
    subprocess.run([sys.executable, "-m", "touge.demo"], cwd=ROOT, check=True)
    desk = Desk(ROOT, {}, environ(), patience_s=_PATIENCE_S)
    return desk.run("submit", str(_DEMO)).code, json.loads(desk.run("report", "-o", "json").out)


@pytest.fixture(scope="module")
def desk(plane, with_images, tmp_path_factory):
    """Return the desk of somebody beside a cluster to whose store drives and base were uploaded."""
    with_images("curate", "train", "evaluate")
    namespace = plane.restricted_namespace()
    recipe = load_recipe(_DEMO.read_text("utf-8"), source=str(_DEMO)).model_dump(mode="json", exclude_unset=True)
    with store_of(plane, namespace) as store:
        made = ROOT / ".touge/demo"
        recipe["base"] = store.upload(made / "base", "base")
        recipe["curate"]["drives"][0]["uri"] = store.upload(made / "drives", "drives")
        install(plane, namespace, VALUES | {"storage": store.values})
        desk = desk_of(plane, namespace, RUNNER, tmp_path_factory.mktemp("desk"), recipe, **store.environ)
        desk.patience_s = _PATIENCE_S
        yield desk
    plane.kubectl("delete", "namespace", namespace, "--wait=false")


def test_pods_of_the_images_come_to_the_laptops_verdict_and_figures(laptop, desk):
    code, report = laptop

    done = desk.submit("--wait")
    found, expected = (measured(told) for told in (json.loads(desk.run("report", "-o", "json").out), report))

    assert done.code == code, done.said
    assert [found[part] for part in ("windows", "verdict")] == [expected[part] for part in ("windows", "verdict")]
    assert models(found, fitted=False) == models(expected, fitted=False)
    assert numbers(models(found, fitted=True)) == pytest.approx(numbers(models(expected, fitted=True)), rel=1e-9)


def models(report, *, fitted):
    """Return the models, or the baselines that are fitted to the windows: threads sum those in another order."""
    return {name: found for name, found in report["models"].items() if name.startswith("ego_") is fitted}


def numbers(tree, path=""):
    """Return every number of a tree by where it stands."""
    if isinstance(tree, dict):
        return {k: v for name, node in tree.items() for k, v in numbers(node, f"{path}/{name}").items()}
    return {path: tree} if isinstance(tree, int | float) else {}
