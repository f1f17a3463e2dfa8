"""The images, built and run as pods of the chart would run them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from base_image import base_image, buildah, derived
from build_images import DOCKERFILES, ROOT, version
from image_runs import CONTROLLER_FOLDERS, STAGE_FOLDERS, handed, layers_of, ran, root_of
from image_store import READ, archived, stored_image, try_build
from pins import blocks

from touge.storage.sources import code_digests, computed_digests

pytestmark = pytest.mark.images

VALUES = yaml.safe_load((ROOT / "charts/touge/values.yaml").read_text("utf-8"))
USER = VALUES["security"]["runAsUser"]
#: What is installed may weigh, MB, without the base.
LIMITS = {"controller": 250, "curate": 900}
#: Prints what is installed as JSON, name to version.
_INSTALLED = "import json, importlib.metadata as m; print(json.dumps({d.name: d.version for d in m.distributions()}))"
#: Prints the code digests of the sources that are installed.
_COMPUTED = (
    "import json, touge; from pathlib import Path; from touge.storage.sources import computed_digests as c;"
    " print(json.dumps(c(Path(touge.__file__).parent, Path('/tmp/constraints/constraints.txt'))))"
)

every_image = pytest.mark.parametrize("image", DOCKERFILES)
every_stage = pytest.mark.parametrize("image", ["curate", "train", "evaluate"])


def folders(image: str) -> tuple[str, ...]:
    return CONTROLLER_FOLDERS if image == "controller" else STAGE_FOLDERS


def shell(image: str, script: str) -> subprocess.CompletedProcess[str]:
    return ran(stored_image(image), command=["sh", "-c", script], folders=folders(image))


def python(image: str, program: str, **how) -> str:
    done = ran(stored_image(image), command=["python", "-c", program], folders=folders(image), **how)
    assert done.returncode == 0, done.stderr
    return done.stdout


def megabytes(folder: Path) -> float:
    """Return what a folder's files take, a file of several names once."""
    files = {(status := path.lstat()).st_ino: status.st_size for path in folder.rglob("*") if not path.is_dir()}
    return sum(files.values()) / 1e6


@every_image
def test_a_container_is_the_charts_user(image):
    assert f"{USER}:{USER}" == shell(image, "echo $(id -u):$(id -g)").stdout.strip()


@every_image
def test_a_container_writes_to_the_charts_folders_and_nowhere_else(image):
    written = " ".join(f"{folder}/x" for folder in folders(image))

    assert 0 == shell(image, f"touch {written}").returncode
    assert "Read-only file system" in shell(image, "touch /opt/touge/x").stderr


@every_image
def test_a_container_says_what_it_does(image):
    done = ran(stored_image(image), "--help", folders=folders(image))

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage:")


@every_stage
def test_a_container_that_nobody_told_what_to_do_says_what_is_missing(image):
    done = ran(stored_image(image))

    assert 10 == done.returncode
    assert "TOUGE_PLAN is not set" in done.stderr


@every_image
def test_an_images_code_is_the_planners(image):
    assert code_digests() == json.loads(shell(image, "python -m touge.storage.sources").stdout)


@every_image
def test_what_is_installed_is_what_was_digested(image, tmp_path):
    shutil.copy(ROOT / "constraints.txt", tmp_path)
    installed = python(image, _COMPUTED, mounts={"/tmp/constraints": handed(tmp_path)})

    assert computed_digests(ROOT / "src/touge", ROOT / "constraints.txt") == json.loads(installed)


@every_image
def test_all_that_is_installed_is_pinned(image):
    pins = blocks((ROOT / "constraints.txt").read_text("utf-8"))
    pinned = {re.match(r"[^ \\]+", block)[0] for found in pins.values() for block in found}
    installed = json.loads(python(image, _INSTALLED))
    names = {f"{re.sub('[-_.]+', '-', name).lower()}=={number}" for name, number in installed.items()}

    assert {f"touge=={version()}"} == names - pinned


@every_image
def test_no_cache_and_no_certificate_of_the_build_stays(image):
    with root_of(stored_image(image)) as root:
        left = [
            path for folder in ("root", "tmp", "run/secrets", "src", "opt/build") for path in (root / folder).rglob("*")
        ]

    assert [] == [path for path in left if path.is_file() and path.name not in {".bashrc", ".profile"}]


@pytest.mark.parametrize("image", LIMITS)
def test_an_image_is_not_heavier_than_it_should_be(image):
    with root_of(stored_image(image)) as root:
        assert megabytes(root / "opt/touge") <= LIMITS[image]


@pytest.mark.parametrize("image", ["controller", "curate", "evaluate"])
def test_there_is_no_compiler_where_nothing_is_compiled(image):
    assert "" == shell(image, "command -v gcc cc c++ clang").stdout


def test_the_training_can_build_a_module_of_python():
    program = 'echo "#include <Python.h>" > /tmp/a.c; gcc -shared -fPIC -o /tmp/a.so /tmp/a.c -I $(python -c "import sysconfig; print(sysconfig.get_path(\'include\'))")'  # noqa: E501

    assert 0 == shell("train", program).returncode


@pytest.mark.parametrize("image", ["controller", "curate"])
def test_there_is_no_torch_where_no_model_runs(image):
    assert "torch" not in json.loads(python(image, _INSTALLED))


def test_the_controller_plans(tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "base/config.json").write_text("{}")
    (tmp_path / "drives").mkdir()
    (tmp_path / "drives/a.jsonl").write_text("{}\n")
    recipe = {
        "apiVersion": "touge/v1",
        "name": "bend",
        "base": "file:///desk/base",
        "curate": {"drives": [{"format": "jsonl", "uri": "file:///desk/drives"}]},
        "train": {"method": "lora"},
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    done = ran(
        stored_image("controller"),
        "plan",
        "/desk/recipe.yaml",
        folders=CONTROLLER_FOLDERS,
        mounts={"/desk": handed(tmp_path)},
    )

    assert done.returncode == 0, done.stderr
    assert "evaluate" in done.stdout


@pytest.mark.parametrize(
    ("change", "words"),
    [("rm /usr/bin/apt-get", "is Debian GNU/Linux"), ("rm /usr/bin/python3", "has no python3")],
)
def test_a_wrong_base_fails_at_the_first_step_in_one_line(change, words):
    base = derived("localhost/touge-tests/wrong-base", base_image(), change)
    try:
        done = try_build("curate", "localhost/touge-tests/wrong", base=base)
    finally:
        buildah("rmi", base)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "BASE_IMAGE" in line and "STEP" not in line]

    assert done.returncode != 0
    assert 1 == len(lines)
    assert lines[0].startswith(f"BASE_IMAGE {words}")
    assert "COPY" not in done.stdout + done.stderr


def test_a_file_that_is_not_the_pinned_one_is_refused(tmp_path):
    for pattern in READ:
        for path in ROOT.glob(pattern):
            if path.is_file():
                (tmp_path / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, tmp_path / path.relative_to(ROOT))
    (tmp_path / "images/controller").mkdir()
    shutil.copy(ROOT / DOCKERFILES["controller"], tmp_path / DOCKERFILES["controller"])
    pins = blocks((tmp_path / "constraints.txt").read_text("utf-8"))
    (pydantic,) = pins["pydantic"]
    wrong = re.sub(r"sha256:[0-9a-f]{64}", f"sha256:{'0' * 64}", pydantic)
    text = (tmp_path / "constraints.txt").read_text("utf-8")
    (tmp_path / "constraints.txt").write_text(text.replace(pydantic, wrong))
    done = try_build("controller", "localhost/touge-tests/wrong", folder=tmp_path)

    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stdout + done.stderr
    assert "pydantic" in done.stdout + done.stderr


@pytest.mark.parametrize("image", ["controller", "curate"])
def test_the_same_sources_give_the_same_layers(image):
    again = f"localhost/touge-tests/{image}-again"
    done = try_build(image, again, "--no-cache")
    assert done.returncode == 0, done.stderr[-4000:]
    try:
        assert layers_of(stored_image(image)) == layers_of(again)
    finally:
        buildah("rmi", again)


@every_image
def test_an_image_is_given_to_a_cluster_under_the_charts_name(image):
    name = f"docker.io/{VALUES['images'][image]['repository']}:{version()}"
    with archived(image) as path:
        command = ["tar", "--extract", "--to-stdout", "--file", str(path), "manifest.json"]
        listing = subprocess.run(command, capture_output=True, text=True, check=True)

    assert [name] == json.loads(listing.stdout)[0]["RepoTags"]
