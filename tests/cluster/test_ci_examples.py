"""The CI examples at work: every command that asks for the cluster, as it stands there, by who has their rights.

The recipe that they name is a small one, and the store the test's own; what logs in to a cloud is not run.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from checkout_pods import SUBMITTER, desk_of
from cluster_person import RECIPE, person_on
from helm import ROOT
from whole_run import finished

GITHUB = yaml.safe_load((ROOT / "docs/ci/github-actions.yaml").read_text("utf-8"))["jobs"]
GITLAB = yaml.safe_load((ROOT / "docs/ci/gitlab-ci.yaml").read_text("utf-8"))["retrain"]
STEPS = {step["name"]: step for step in GITHUB["retrain"]["steps"] if "run" in step}
THEIR_STORE = "s3://drives/touge"


@pytest.fixture(scope="module")
def platform(plane, open_namespace, tmp_path_factory):
    """Return a person whose scripts tell the stages what to do, with the controller in the cluster."""
    with person_on(plane, open_namespace, tmp_path_factory.mktemp("platform"), controller=True) as person:
        person.kubectl("rollout", "status", "deployment/touge-controller", "--timeout=100s")
        yield person


class Service:
    """A CI service's job: a folder with the recipe, the store's keys, and no address of the store."""

    def __init__(self, platform, folder: Path) -> None:
        self.folder, self.store = folder, platform.store.environ["TOUGE_STORE"]
        for name in ("base/config.json", "drives/a.jsonl"):
            (folder / name).parent.mkdir()
            (folder / name).write_bytes((platform.folder / name).read_bytes())
        (folder / "jobs").mkdir()
        keys = {name: value for name, value in platform.store.environ.items() if name != "TOUGE_STORE"}
        files = {"GITHUB_OUTPUT": "output", "GITHUB_STEP_SUMMARY": "summary", "PATH": platform.desk.variables["PATH"]}
        desk = desk_of(platform.plane, platform.namespace, SUBMITTER, folder, RECIPE, **keys, **files)
        del desk.variables["TOUGE_HOME"]
        self.desk = desk

    def recipe(self, **sections) -> None:
        (self.folder / "jobs/retrain.yaml").write_text(json.dumps(RECIPE | {"name": "retrain"} | sections))

    def bash(self, script: str, **variables: str):
        """Run a script as both services do: it ends at the first command that fails."""
        desk = replace(self.desk, variables=self.desk.variables | variables)
        command = [*desk.within, "bash", "-e", "-c", script.replace(THEIR_STORE, self.store)]
        return finished(command, self.folder, desk.variables, 240)

    def step(self, name: str):
        """Run a step of the GitHub example with its own variables."""
        own = {key: value.replace(THEIR_STORE, self.store) for key, value in STEPS[name].get("env", {}).items()}
        return self.bash(STEPS[name]["run"], **own)

    def kept(self) -> set[str]:
        """Return which of the files there are that the examples keep."""
        reports = [f"report of {path.parent.name}" for path in self.folder.glob(".touge/reports/**/report.html")]
        return {name for name in ("outcome.json", "report.txt", "run.log") if (self.folder / name).exists()} | {
            report.partition("-")[0] for report in reports
        }


@pytest.fixture
def service(platform, tmp_path):
    return Service(platform, tmp_path)


CASES = {
    "passed": (1, True, "", 0),
    "not passed": (2, False, "", 20),
    "failed": (3, True, "fail:10", 40),
}


def told(platform, case):
    """Let the stages do what a case says; return the seed of its recipe and the code that it ends with."""
    seed, verdict, train, code = CASES[case]
    platform.tell(verdict, **({"train": train} if train else {}))
    return seed, code


@pytest.mark.parametrize("case", CASES)
def test_on_github(platform, service, case):
    seed, code = told(platform, case)
    service.recipe(train={"method": "lora", "steps": 10 + seed})

    checked = service.step("Check")
    assert checked.code == 0, checked.said
    submitted = service.step("Submit and wait")
    assert submitted.code == (0 if code in {0, 20} else code), submitted.said
    assert (service.folder / "output").read_text() == f"code={code}\n"
    after = service.step("Log of a run that failed" if code == 40 else "Report")
    gate = service.bash(GITHUB["gate"]["steps"][0]["run"], CODE=str(code))

    assert after.code == 0, after.said
    assert gate.code == code
    assert service.kept() == expected(code)


@pytest.mark.parametrize("case", CASES)
def test_on_gitlab(platform, service, case):
    seed, code = told(platform, case)
    service.recipe(train={"method": "lora", "steps": 20 + seed})

    done = service.bash("\n".join(GITLAB["script"]))

    assert done.code == code, done.said
    assert service.kept() == expected(code)


def expected(code):
    return {"outcome.json", "run.log"} if code == 40 else {"outcome.json", "report.txt", "report of retrain"}
