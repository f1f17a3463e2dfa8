"""Curation inside its image: what it makes is what it makes outside, and it hears SIGTERM."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from curating import plan_of
from image_runs import handed, ran, running
from image_store import stored_image
from whole_run import environ

from touge.contract.environment import StageEnvironment
from touge.contract.exit_codes import ExitCode
from touge.contract.plan import Plan
from touge.drives.physical_ai_av_writer import write_world
from touge.drives.synthetic.route import Style
from touge.drives.synthetic.world import WorldSpec

pytestmark = pytest.mark.images

WORLD = WorldSpec(
    seed=0, drives=6, clip_s=10.0, width=64, height=32, mix=((Style.MOUNTAIN, 0.5), (Style.ARTERIAL, 0.5))
)


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    """A folder with drives and a plan, which a container's user may write."""
    folder = tmp_path_factory.mktemp("desk")
    write_world(WORLD, folder / "drives", workers=1)
    section = {
        "drives": [{"format": "physical-ai-av", "uri": f"file://{folder}/drives"}],
        "image": {"min_pixels": 64 * 32, "max_pixels": 64 * 32},
        "reasoning": {"straight": "template"},
    }
    (folder / "plan.json").write_text(plan_of(section).to_json())
    return handed(folder)


def told(desk: Path, stage: str, store: str) -> dict[str, str]:
    """Return the variables of an execution."""
    environment = StageEnvironment(
        plan=str(desk / "plan.json"),
        store=f"file://{desk}/{store}",
        stage=stage,
        attempt=1,
        uid="a",
        scratch=str(desk / f"scratch-{store}-{stage}"),
    )
    return environment.to_environ()


def made(desk: Path, store: str, stage: str) -> dict[str, str]:
    """Return the sha256 of each file of what a stage committed."""
    plan = Plan.read_json((desk / "plan.json").read_bytes())
    (mark,) = (desk / store / "stages" / plan.stage(stage).id).rglob("committed.json")
    manifest = mark.parent / "executions" / json.loads(mark.read_text())["execution"] / "manifest.json"
    return {entry["name"]: entry["sha256"] for entry in json.loads(manifest.read_text())["files"]}


@pytest.fixture(scope="module")
def both(desk) -> Path:
    """The folder, curated in the image and outside it."""
    for stage in ("curate-map", "curate"):
        inside = ran(stored_image("curate"), environ=told(desk, stage, "inside"), mounts={str(desk): desk})
        assert inside.returncode == 0, inside.stderr
        command = [sys.executable, "-m", "touge.curation"]
        outside = subprocess.run(command, env=environ(**told(desk, stage, "outside")), capture_output=True, check=False)
        assert outside.returncode == 0, outside.stderr
    return desk


@pytest.mark.parametrize("stage", ["curate-map", "curate"])
def test_a_stage_makes_the_same_files_in_its_image_as_outside(both, stage):
    inside = made(both, "inside", stage)

    assert made(both, "outside", stage) == inside
    assert inside


def test_a_plan_for_other_code_is_refused(desk):
    plan = Plan.read_json((desk / "plan.json").read_bytes())
    other = plan.to_json().replace(plan.stage("curate-map").code, "0" * 64)
    (desk / "other.json").write_text(other)
    variables = told(desk, "curate-map", "other") | {"TOUGE_PLAN": str(desk / "other.json")}
    done = ran(stored_image("curate"), environ=variables, mounts={str(desk): desk})

    assert ExitCode.INVALID == done.returncode
    assert "code" in done.stderr


def test_sigterm_reaches_the_stage_which_ends_as_interrupted(desk):
    variables = told(desk, "curate-map", "stopped")
    with running(stored_image("curate"), environ=variables, mounts={str(desk): desk}) as process:
        wait_for(desk / "scratch-stopped-curate-map", process)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate()

    assert ExitCode.INTERRUPTED == process.returncode, err


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait until the stage is at work."""
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
