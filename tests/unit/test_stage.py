"""The shell of a stage's process, as a real process: exit codes, messages, signals, commits."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from eventually import PATIENCE_S

from touge.contract.artifacts import StageRef
from touge.contract.environment import StageEnvironment
from touge.contract.plan import Plan, ResolvedModel, Stage
from touge.contract.recipe import load_recipe
from touge.storage import open_store
from touge.storage.execution import committed
from touge.storage.sources import code_digests

RECIPE = """
apiVersion: touge/v1
name: test
base: file:///base
curate:
  drives: [{format: physical-ai-av, uri: "file:///drives"}]
train: {method: lora}
"""
PROGRAM = """
import errno, sys, time
from touge.contract import errors
from touge.stage import main

def work(context):
    context.execution.write("result", b"done")
    {body}
    return {{"answer": 42}}

sys.exit(main({{"train": work}}))
"""


@pytest.fixture
def run(tmp_path):
    """Start a stage whose work has this body; return the process and its environment."""

    def start(body="", uid="abc", **changes):
        stage = Stage(name="train", id="train-1", section={}, inputs={}, code=code_digests()["train"])
        plan = Plan(
            run="test-1",
            recipe=load_recipe(RECIPE),
            base=ResolvedModel(uri="file:///base", digest="0"),
            backbone=None,
            inventories=(),
            stages=(stage.model_copy(update=changes),),
        )
        (tmp_path / "plan.json").write_text(plan.to_json())
        environment = StageEnvironment(
            plan=str(tmp_path / "plan.json"),
            store=f"file://{tmp_path}/store",
            stage="train",
            attempt=1,
            uid=uid,
            scratch=str(tmp_path / "scratch"),
            termination_log=str(tmp_path / "message"),
        )
        (tmp_path / "message").unlink(missing_ok=True)
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(body=body)],
            env={"PATH": os.environ["PATH"]} | environment.to_environ(),
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def ended(process):
    _, log = process.communicate(timeout=PATIENCE_S)
    return process.returncode, log


def test_work_that_returns_is_committed(run, tmp_path):
    code, _ = ended(run())

    artifact = committed(open_store(f"file://{tmp_path}/store"), StageRef("train-1"))
    assert code == 0
    assert artifact.manifest.metadata == {"answer": 42}
    assert artifact.read("result") == b"done"


def test_a_committed_stage_is_left_at_once(run):
    ended(run())

    assert ended(run("raise AssertionError('worked twice')"))[0] == 0


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("raise errors.RecipeError('a')", 10),
        ("raise errors.SettingsError('a')", 10),
        ("raise errors.DataError('a')", 11),
        ("raise errors.CheckpointError('a')", 12),
        ("raise errors.GpuMemoryError('a')", 13),
        ("raise errors.InfrastructureError('a')", 30),
        ("raise errors.Interrupted('a')", 31),
        ("raise OSError(errno.ENOSPC, 'No space left on device')", 30),
        ("1 / 0", 1),
    ],
)
def test_an_error_ends_with_its_code_and_one_message(run, tmp_path, body, code):
    found, log = ended(run(body))

    assert code == found
    assert "Traceback" not in log
    message = (tmp_path / "message").read_text()
    assert message == json.loads(log.splitlines()[-1])["message"]
    assert committed(open_store(f"file://{tmp_path}/store"), StageRef("train-1")) is None


def test_other_code_than_the_plans_is_refused(run):
    code, log = ended(run(code="0" * 64))

    assert code == 10
    assert "000000000000" in log
    assert code_digests()["train"][:12] in log


def test_a_stage_that_the_program_does_not_do_is_refused(run, tmp_path):
    process = run(name="evaluate")

    assert ended(process)[0] == 10
    assert "the plan has evaluate" in (tmp_path / "message").read_text()


def test_a_stop_is_seen_by_the_work_and_ends_resumable(run):
    process = run(
        "print('ready', file=sys.stderr, flush=True)\n"
        "    while not context.stopping(): time.sleep(0.01)\n"
        "    raise errors.Interrupted('stopped')"
    )
    assert "ready" in process.stderr.readline()

    process.send_signal(signal.SIGTERM)

    assert ended(process)[0] == 31


def test_two_processes_of_one_stage_both_succeed_and_one_wins(run, tmp_path):
    start = time.time() + 2
    processes = [run(f"time.sleep(max(0, {start} - time.time()))", uid=uid) for uid in ("abc", "def")]

    assert [ended(process)[0] for process in processes] == [0, 0]
    assert committed(open_store(f"file://{tmp_path}/store"), StageRef("train-1"))
