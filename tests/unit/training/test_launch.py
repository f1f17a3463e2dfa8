"""One process or several: layout, real ranks under the launcher, and what becomes of their exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from eventually import PATIENCE_S
from hypothesis import given
from hypothesis import strategies as st

from touge.contract.artifacts import StageRef
from touge.contract.errors import InfrastructureError, SettingsError
from touge.storage import open_store
from touge.storage.execution import executions
from touge.training.launch import Layout, RankRecord, first_failure, launch, read_records

pytestmark = pytest.mark.slow

#: A rank's program: its place, a record as the training leaves it, and a file that says it has come so far.
RANK = """
import json, os, pathlib, signal, sys, time
rank, folder = int(os.environ["LOCAL_RANK"]), pathlib.Path(sys.argv[1])

def end(code, message=""):
    record = {"code": code, "time_us": time.time_ns() // 1000, "message": message}
    (folder / f"{rank}.json").write_text(json.dumps(record))
    sys.exit(code)

def meet():
    (folder / f"{rank}.here").touch()
    while len(list(folder.glob("*.here"))) < int(os.environ["WORLD_SIZE"]):
        time.sleep(0.01)

"""
#: Of two ranks one is killed, and the other hears no signal.
DEAF = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
meet()
if rank:
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(120)
"""
#: A rank that stops when it is told to, as the training does; the first one has the launcher told.
STOPPING = """
signal.signal(signal.SIGTERM, lambda *_: end(31, "stopped after step 7"))
meet()
if rank == 0:
    os.kill(os.getppid(), signal.SIGTERM)
while True:
    time.sleep(0.01)
"""


@pytest.fixture
def ranks(tmp_path):
    """Run two ranks of this program under the launcher."""

    def run(body, **more):
        return launch([sys.executable, "-c", RANK + body, str(tmp_path)], Layout(2), tmp_path, **more)

    return run


def test_ranks_that_end_well_end_well(ranks, tmp_path):
    assert (0, "") == ranks("(folder / str(rank)).write_text(os.environ['RANK'] + os.environ['WORLD_SIZE'])")
    assert ["02", "12"] == [(tmp_path / str(rank)).read_text() for rank in (0, 1)]


@pytest.mark.parametrize("code", [1, 10, 11, 12, 13, 30])
def test_the_code_and_message_of_a_rank_that_fails_survive(ranks, code):
    assert (code, "no rows") == ranks(f"meet()\nif rank: end({code}, 'no rows')\ntime.sleep(60)")


def test_the_first_failure_counts_and_not_what_it_did_to_the_others(ranks):
    body = """
signal.signal(signal.SIGTERM, lambda *_: end(30, "another process was lost"))
meet()
if rank:
    end(11, "the cause")
while True:
    time.sleep(0.01)
"""
    assert (11, "the cause") == ranks(body)


def test_a_killed_rank_ends_as_killed(ranks):
    body = "meet()\nif rank: os.kill(os.getpid(), signal.SIGKILL)\ntime.sleep(60)"

    assert (137, "a rank died of SIGKILL") == ranks(body)


def test_a_killed_rank_ends_as_what_the_others_say_of_it(ranks):
    body = """
signal.signal(signal.SIGTERM, lambda *_: end(30, "another process was lost"))
meet()
if rank:
    os.kill(os.getpid(), signal.SIGKILL)
while True:
    time.sleep(0.01)
"""
    assert (30, "another process was lost") == ranks(body)


def test_a_rank_that_waits_for_a_dead_one_in_native_code_is_killed_before_elastic_would(ranks, caplog):
    """Such a rank hears no signal: Python's handlers run when the native call returns. Elastic waits 30 s for it."""
    assert (137, "a rank died of SIGKILL") == ranks(DEAF)
    assert "forcefully exiting" not in caplog.text


def test_a_launchers_other_children_are_no_ranks(ranks, caplog):
    with subprocess.Popen(["sleep", "300"]) as other:
        assert (137, "a rank died of SIGKILL") == ranks(DEAF)
        assert other.poll() is None
        other.kill()

    assert "forcefully exiting" not in caplog.text


@pytest.mark.parametrize(("name", "code"), [("SIGSEGV", 139), ("SIGABRT", 134)])
def test_a_rank_that_crashes_natively_keeps_its_code(ranks, name, code):
    body = f"""
signal.signal(signal.SIGTERM, lambda *_: end(31, "told to stop"))
meet()
if rank:
    os.kill(os.getpid(), signal.{name})
while True:
    time.sleep(0.01)
"""
    assert (code, f"a rank died of {name}") == ranks(body)


def test_a_launcher_that_is_told_to_stop_tells_the_ranks_and_ends_as_they_do(ranks):
    assert (31, "stopped after step 7") == ranks(STOPPING)


def test_ranks_that_finish_after_they_were_told_to_stop_end_well(ranks):
    body = STOPPING.replace('end(31, "stopped after step 7")', "sys.exit(0)")

    assert (0, "") == ranks(body)


def test_ranks_that_do_not_stop_within_the_grace_are_killed(ranks):
    body = STOPPING.replace('lambda *_: end(31, "stopped after step 7")', "signal.SIG_IGN")

    assert (137, "a rank died of SIGKILL") == ranks(body, grace_s=15.5)


def test_signals_are_handled_as_before_when_the_ranks_have_ended(ranks):
    before = signal.getsignal(signal.SIGTERM)
    ranks("pass")

    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
def test_ranks_die_with_their_launcher(world, start):
    """A launcher that is killed cannot tell its ranks."""
    world.curate()
    process = start(world.environ(world.plan(steps=100_000)), TOUGE_PROCESSES="2")
    while len(ranks := psutil.Process(process.pid).children()) < 2:
        assert process.poll() is None, "it ended by itself"
        time.sleep(0.05)
    while not all(_dies_with_parent(rank) for rank in ranks):
        time.sleep(0.05)

    process.kill()

    _, alive = psutil.wait_procs(ranks, timeout=PATIENCE_S)
    assert not alive


def _dies_with_parent(rank):
    """Whether the rank has come so far: from then on it handles SIGTERM itself."""
    status = Path(f"/proc/{rank.pid}/status").read_text().splitlines()
    caught = next(int(line.split()[1], 16) for line in status if line.startswith("SigCgt"))
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def test_a_plan_for_other_code_ends_two_real_ranks_with_10_and_one_message(world, start):
    plan = world.plan()
    stage = plan.stage("train").model_copy(update={"code": "0" * 64})
    process = start(world.environ(plan.model_copy(update={"stages": (stage,)})), TOUGE_PROCESSES="2")

    assert process.wait(PATIENCE_S) == 10
    assert "the plan was made for code 000000000000" in (world.root / "message-a").read_text()
    assert executions(open_store(world.store_uri), StageRef(stage.id)) == ()


@pytest.mark.parametrize("processes", ["0", "two", "-1"])
def test_a_number_of_processes_that_is_none_ends_with_10(world, start, processes):
    process = start(world.environ(world.plan()), TOUGE_PROCESSES=processes)

    assert process.wait(PATIENCE_S) == 10
    assert f"TOUGE_PROCESSES='{processes}'" in (world.root / "message-a").read_text()


def test_nodes_that_do_not_meet_are_worth_another_try(tmp_path):
    layout = Layout(processes=1, nodes=2, node=0, endpoint="127.0.0.1:0")

    with pytest.raises(InfrastructureError, match=r"2 nodes did not meet at 127\.0\.0\.1:0 within 1 s"):
        launch([sys.executable, "-c", "pass"], layout, tmp_path, rendezvous_s=1)


def environ_of(world, resources, **more):
    return world.environ(world.plan(resources=resources)) | more


@pytest.mark.parametrize(
    ("resources", "more", "expected"),
    [
        ({}, {}, Layout()),
        ({"gpus": 0}, {}, Layout()),
        ({"gpus": 4}, {}, Layout(4)),
        ({"gpus": 4}, {"TOUGE_PROCESSES": "2"}, Layout(2)),
        (
            {"gpus": 8, "nodes": 2},
            {"MASTER_ADDR": "node-0", "MASTER_PORT": "29500", "JOB_COMPLETION_INDEX": "1"},
            Layout(8, 2, 1, "node-0:29500"),
        ),
    ],
)
def test_the_layout_follows_from_plan_and_environment(world, resources, more, expected):
    layout = Layout.of(environ_of(world, resources, **more))

    assert layout == expected
    assert layout.ranks == expected.processes * expected.nodes


@pytest.mark.parametrize("plan", [None, "/nowhere/plan.json", os.devnull])
def test_a_plan_that_cannot_be_read_is_left_to_one_process_to_explain(plan):
    assert Layout() == Layout.of({"TOUGE_PLAN": plan} if plan else {})


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({}, "MASTER_ADDR, MASTER_PORT"),
        ({"MASTER_ADDR": "a", "MASTER_PORT": "1", "JOB_COMPLETION_INDEX": "2"}, "one of 2 nodes"),
        ({"MASTER_ADDR": "a", "MASTER_PORT": "1", "JOB_COMPLETION_INDEX": "one"}, "one of 2 nodes"),
    ],
)
def test_nodes_that_cannot_find_one_another_are_refused(world, more, message):
    with pytest.raises(SettingsError, match=message):
        Layout.of(environ_of(world, {"nodes": 2}, **more))


def record(code, time_us):
    return RankRecord(code=code, time_us=time_us, message=f"message {code}")


@given(codes=st.permutations([11, 30, 31]), order=st.permutations([0, 1, 2]))
def test_the_earliest_record_decides_whatever_was_noticed_first(codes, order):
    records = {rank: record(code, time_us=10 + rank) for rank, code in enumerate(codes)}

    assert (codes[0], f"message {codes[0]}") == first_failure({rank: codes[rank] for rank in order}, records)


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ((31, -signal.SIGSEGV), 139),
        ((-signal.SIGSEGV, 31), 139),
        ((31, 1), 1),
        ((1, 31), 1),
        ((-signal.SIGKILL, 31), 31),
        ((31, -signal.SIGKILL), 31),
        ((-signal.SIGKILL, -signal.SIGTERM), 137),
        ((-signal.SIGTERM,), 143),
    ],
)
def test_who_could_not_leave_a_record_comes_first_and_who_was_killed_last(codes, expected):
    records = {rank: record(code, 5) for rank, code in enumerate(codes) if code == 31}

    assert first_failure(dict(enumerate(codes)), records)[0] == expected


def test_a_record_that_was_not_finished_counts_as_none(tmp_path):
    (tmp_path / "0.json").write_text(record(11, 5).to_json())
    (tmp_path / "1.json").write_text(record(11, 5).to_json()[:-9])
    (tmp_path / "0.message").write_text(json.dumps("text"))

    assert {0: record(11, 5)} == read_records(tmp_path)
