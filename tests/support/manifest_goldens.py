"""What would be sent for each shipped recipe, as tests/golden/manifests/<recipe>.yaml has it.

`python tests/support/manifest_goldens.py` writes the files anew (`make goldens`). Ids are stand-ins, so that only what
a manifest says can change a file.
"""

from __future__ import annotations

from pathlib import Path

from job_templates import templates
from run_builders import CODES, make_resolved

from controller.cli.rendering import rendered, to_yaml
from controller.plan import make_plan
from touge.contract.plan import Plan
from touge.contract.recipe import load_recipe

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "jobs").glob("*.yaml"))
GOLDENS = ROOT / "tests" / "golden" / "manifests"
_HEADER = "# What `plan --render` prints for jobs/{name}, with stand-in ids. Written by `make goldens`; do not edit.\n"


def golden_plan(recipe: Path, *overrides: str) -> Plan:
    """Return the plan of a shipped recipe with a run id that no digest changes."""
    wanted = load_recipe(recipe.read_text("utf-8"), overrides)
    plan = make_plan(wanted, make_resolved(wanted), CODES)
    return plan.model_copy(update={"run": f"{wanted.name}-0123456789"})


def golden_text(recipe: Path) -> str:
    """Return the objects of a recipe's stages as YAML."""
    objects = rendered(golden_plan(recipe), frozenset(), templates())
    return _HEADER.format(name=recipe.name) + to_yaml(objects) + "\n"


if __name__ == "__main__":
    GOLDENS.mkdir(parents=True, exist_ok=True)
    for path in RECIPES:
        (GOLDENS / path.name).write_text(golden_text(path), "utf-8")
