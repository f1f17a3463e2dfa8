"""Bad input, one case each, as a user meets it: real processes, the real stages, a real store.

Each ends with one clear message (what was given, what was expected, what to do), the exit code of the table, no
traceback, and nothing half-written that a later run could take for whole.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3_server
from curating import Rows, plan_of
from tiny_training import World, write_base
from whole_run import Desk, desk, environ, finished, half_written

from touge.contract.environment import StageEnvironment
from touge.contract.exit_codes import ExitCode
from touge.drives.physical_ai_av_writer import write_world
from touge.drives.synthetic.defects import Defect
from touge.drives.synthetic.world import WorldSpec

pytestmark = pytest.mark.slow

JSONL = {"format": "jsonl", "uri": "file://./drives"}
TABLE = {
    "format": "table",
    "uri": "file://./drives",
    "timestamp": {"column": "t", "unit": "s"},
    "motion": {"kind": "positions", "x": "x", "y": "y", "yaw": "yaw"},
    "camera": {"render": "synthetic", "width": 64, "height": 32},
}
#: A disk that takes the frames of a few windows and then no rows.
ROOM = "32k"
#: Mounts a small file system in a namespace of its own, runs a command, and keeps what the command left there.
MOUNTED = 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && "$@"; code=$?; cp -a "$STORE/." "$KEPT"; exit $code'
MOUNTED_READ_ONLY = 'mount -t tmpfs -o ro tmpfs "$STORE" && exec "$@"'


def said_once(text: str, *words: str) -> None:
    """Check a message: it holds these words, and nobody sees a traceback."""
    missing = [word for word in words if word not in text]
    assert not missing, text
    assert "Traceback" not in text


def failed_stage(place: Desk, stage: str, code: ExitCode, *words: str) -> None:
    """Submit; the run fails because of this stage, which says why, and commits nothing."""
    done = place.submit()

    assert done.code == ExitCode.RUN_FAILED, done.said
    said_once(done.out, stage, f"exit code {int(code)}", *words)
    said_once(done.err + place.run("logs").out)
    assert not place.committed(stage)
    assert not half_written(place.store)
    assert place.attempts()[stage] == 1


@pytest.fixture
def rows(tmp_path) -> Rows:
    (tmp_path / "drives").mkdir()
    return Rows(tmp_path / "drives")


@pytest.fixture
def one_drive(tmp_path) -> Rows:
    """Rows of a drive that is taken."""
    (tmp_path / "drives").mkdir()
    rows = Rows(tmp_path / "drives")
    rows.add_drive("a")
    rows.section()
    return rows


def test_a_misspelt_key_is_refused_before_anything_is_written(tmp_path):
    place = desk(tmp_path, JSONL, train={"method": "lora", "stepz": 4})

    done = place.submit()

    assert done.code == ExitCode.INVALID
    said_once(done.said, "recipe.yaml: 1 problem", "train.stepz: unknown key", "did you mean", "steps")
    assert not (tmp_path / ".touge").exists()


def test_debug_shows_the_traceback_and_ends_with_the_same_code_and_message(tmp_path):
    place = desk(tmp_path, JSONL, train={"method": "lora", "stepz": 4})

    plain, debug = place.submit(), place.submit("--debug")

    assert debug.code == plain.code
    assert "Traceback" in debug.err
    assert plain.err in debug.err


def test_debug_shows_the_traceback_of_a_stage_in_its_log(tmp_path):
    (tmp_path / "drives").mkdir()
    (tmp_path / "drives/monday.csv").write_text("t,x,y,yaw\n")
    place = desk(tmp_path, TABLE)

    done = place.submit("--debug")

    assert done.code == ExitCode.RUN_FAILED
    assert "Traceback" in place.run("logs").out


def test_missing_drives_are_refused_before_anything_is_written(tmp_path):
    done = desk(tmp_path, JSONL).submit()

    assert done.code == ExitCode.DATA
    said_once(done.said, "curate.drives.0", f"{tmp_path}/drives", "nothing is there", "Expected", "check the address")
    assert not (tmp_path / ".touge").exists()


def test_an_empty_drive_fails_its_stage_and_is_named(tmp_path):
    (tmp_path / "drives").mkdir()
    (tmp_path / "drives/monday.csv").write_text("t,x,y,yaw\n")

    failed_stage(
        desk(tmp_path, TABLE), "curate-map", ExitCode.DATA, "monday.csv", "given 0 poses", "at least 2", "Leave"
    )


def test_a_truncated_mp4_fails_its_stage_and_is_named(tmp_path):
    spec = WorldSpec(drives=2, clip_s=12, width=64, height=32, defects=((1, Defect.TRUNCATED_VIDEO),))
    write_world(spec, tmp_path / "drives", workers=1)
    place = desk(tmp_path, {"format": "physical-ai-av", "uri": "file://./drives"})

    failed_stage(
        place, "curate-map", ExitCode.DATA, "synthetic-0000-00001", ".mp4", "expected", "decoded", "Download the clip"
    )


def test_a_corrupt_tar_fails_its_stage_and_is_named(tmp_path, rows):
    rows.add_drive("a")
    with tarfile.open(rows.folder / "frames.tar", "w") as tar:
        for path in sorted((rows.folder / "frames").rglob("*.png")):
            tar.add(path, path.name)
    for row in rows.rows:
        for ref in row["images"]["front_wide"]:
            ref["path"] = f"frames.tar#{Path(ref['path']).name}"
    rows.section()
    shutil.rmtree(rows.folder / "frames")
    damaged = bytearray((rows.folder / "frames.tar").read_bytes())
    damaged[:512] = b"\xff" * 512
    (rows.folder / "frames.tar").write_bytes(damaged)

    failed_stage(
        desk(tmp_path, JSONL), "curate-map", ExitCode.DATA, "frames.tar", "no readable uncompressed tar", "pack"
    )


def test_a_row_whose_text_contradicts_its_trajectory_is_no_lesson_and_alone_it_is_no_data(tmp_path, rows):
    rows.add("a", 2_000_000, 0.01, reasoning={"text": "Right curve ahead.", "language": "en", "source": "dataset"})
    rows.section()
    place = desk(tmp_path, JSONL)

    failed_stage(place, "curate", ExitCode.DATA, "no window left", "1  contradiction", "rejected.jsonl")
    refused = json.loads((place.artifact("curate-map") / "rejected.jsonl").read_text())
    assert refused["id"] == "a@2000000"
    assert "says 'right curve', drives curve to the left" in refused["reasons"][0]["detail"]


def test_a_nan_fails_its_stage_and_its_row_is_named(tmp_path, rows):
    rows.add_drive("a")
    rows.rows[1]["future"][5][0] = float("nan")
    rows.section()

    failed_stage(
        desk(tmp_path, JSONL), "curate-map", ExitCode.DATA, "samples.jsonl:2", "future", "finite", "Correct or remove"
    )


def test_a_full_disk_ends_as_infrastructure_and_leaves_nothing_that_counts(tmp_path, one_drive, mounting):
    full, kept = tmp_path / "store", tmp_path / "kept"
    full.mkdir()
    kept.mkdir()
    plan = plan_of(one_drive.section())
    (tmp_path / "plan.json").write_text(plan.to_json())

    def variables(store: Path, uid: str) -> dict[str, str]:
        stage = StageEnvironment(
            plan=str(tmp_path / "plan.json"),
            store=f"file://{store}",
            stage="curate-map",
            attempt=1,
            uid=uid,
            scratch=str(tmp_path / f"scratch-{uid}"),
            termination_log=str(tmp_path / f"message-{uid}"),
        )
        return environ(STORE=str(full), KEPT=str(kept), **stage.to_environ())

    command = [sys.executable, "-m", "touge.curation"]
    first = finished([*mounting, MOUNTED, "sh", f"size={ROOM}", str(full), *command], tmp_path, variables(full, "a"))
    left = {path.name for path in kept.rglob("*") if path.is_file()}
    second = finished(command, tmp_path, variables(kept, "b"))

    assert first.code == ExitCode.INFRASTRUCTURE, first.said
    said_once((tmp_path / "message-a").read_text(), "was not written: No space left on device", "Free some space below")
    said_once(first.said)
    assert left <= {"images-00000.tar", "images-00000.tar.idx.json", "progress.json"}
    assert second.code == ExitCode.OK, second.said
    assert [json.loads(mark.read_text())["execution"] for mark in kept.rglob("committed.json")] == [f"{plan.run}-1-b"]
    assert not half_written(kept)


def test_a_read_only_store_is_refused_before_a_run_is_made(tmp_path, one_drive, mounting):
    (tmp_path / "store").mkdir()
    place = desk(tmp_path, JSONL)
    variables = place.variables | {"STORE": str(tmp_path / "store"), "TOUGE_STORE": f"file://{tmp_path}/store"}
    command = [*mounting, MOUNTED_READ_ONLY, "sh", sys.executable, "-m", "controller", "submit", "recipe.yaml"]

    done = finished(command, tmp_path, variables)

    assert done.code == ExitCode.INVALID, done.said
    said_once(done.said, f"{tmp_path}/store", "cannot be read or written: Read-only file system", "Give this user")
    assert json.loads(place.run("list", "-o", "json").out) == []


def test_a_store_that_refuses_credentials_is_refused_before_a_run_is_made(tmp_path, one_drive):
    with s3_server.serving() as server:
        store = server.new_store()
        for method in ("HEAD", "GET", "PUT"):
            server.fail(s3_server.Fault(method, "", 403, "InvalidAccessKeyId", times=1000))
        place = desk(tmp_path, JSONL)
        credentials = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        place.variables |= credentials | {
            "TOUGE_STORE": store.uri,
            "TOUGE_S3_ENDPOINT": str(server.settings.endpoint),
            "TOUGE_S3_REGION": "us-east-1",
            "TOUGE_S3_PATH_STYLE": "true",
        }

        done = place.submit()
        server.mend()

        assert done.code == ExitCode.INVALID, done.said
        said_once(done.said, store.uri, "the store refuses", "Check that the credentials", "InvalidAccessKeyId, 403")
        assert s3_server.SECRET_KEY not in done.said
        assert list(store.list()) == []
        assert json.loads(place.run("list", "-o", "json").out) == []


def test_a_checkpoint_of_another_architecture_fails_training_and_is_named(tmp_path):
    world = World(tmp_path, write_base(tmp_path / "base"))
    world.curate()
    other = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64}
    (tmp_path / "base/config.json").write_text(json.dumps(other))

    done = finished([sys.executable, "-m", "touge.training"], tmp_path, environ(**world.environ(world.plan())))

    assert done.code == ExitCode.CHECKPOINT, done.said
    message = (tmp_path / "message-a").read_text()
    said_once(message, "/config.json", "model_type` is 'llama', expected 'alpamayo_r1'", "Let the recipe's `base` be")
    said_once(done.said)
    assert not list((tmp_path / "store").glob("stages/train-*/**/*.json"))


@pytest.fixture(scope="module")
def mounting(tmp_path_factory) -> Iterator[list[str]]:
    """Return the beginning of a command whose shell script may mount file systems that nobody else sees."""
    folder = tmp_path_factory.mktemp("mount")
    for way in (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"]):
        probe = [*way, "sh", "-c", 'mount -t tmpfs -o ro tmpfs "$0"', str(folder)]
        if shutil.which("unshare") and subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            yield [*way, "sh", "-c"]
            return
    pytest.skip("needs a file system of its own: neither root nor user namespaces (unshare) are at hand here")
