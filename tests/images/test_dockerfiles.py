"""What the four Dockerfiles say, held against the chart, the package and the controller. No image is built."""

from __future__ import annotations

import json
import re
import tomllib
from fnmatch import fnmatch

import pytest
import yaml
from build_images import DOCKERFILES, ROOT

from controller.manifests import podspec
from controller.runners.local import COMMANDS
from touge.contract.code import STAGE_PACKAGES
from touge.storage.sources import BAKED

CHART = yaml.safe_load((ROOT / "charts/touge/Chart.yaml").read_text("utf-8"))
VALUES = yaml.safe_load((ROOT / "charts/touge/values.yaml").read_text("utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
TEXTS = {image: (ROOT / path).read_text("utf-8") for image, path in DOCKERFILES.items()}
STAGES = {"curate": "curate", "train": "train", "evaluate": "evaluate"}
#: Of `train` and `evaluate` the same, so that a node which has one image pulls next to nothing for the other.
EXTRAS = {"controller": "controller", "curate": "curate", "train": "eval", "evaluate": "eval"}

every_image = pytest.mark.parametrize("image", DOCKERFILES)
every_stage = pytest.mark.parametrize("image", STAGES)


def final(image: str) -> str:
    """Return the last stage of the build, which is the image."""
    return TEXTS[image].rpartition("\nFROM ")[2]


def instruction(image: str, word: str) -> list[str]:
    """Return the arguments of an instruction of the last stage."""
    joined = final(image).replace("\\\n", " ")
    return [line.removeprefix(word).strip() for line in joined.splitlines() if line.startswith(f"{word} ")]


def variables(image: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for line in instruction(image, "ENV") for pair in line.split())


def labels(image: str) -> dict[str, str]:
    return dict(re.findall(r'(\S+?)="([^"]*)"', " ".join(instruction(image, "LABEL"))))


def test_there_is_a_dockerfile_for_each_image_of_the_chart():
    assert set(DOCKERFILES) == {name for name, value in VALUES["images"].items() if isinstance(value, dict)}


@every_image
def test_an_image_has_the_version_of_package_and_chart(image):
    version = labels(image)["org.opencontainers.image.version"]

    assert {version} == {PROJECT["version"], CHART["version"], CHART["appVersion"]}


@every_image
def test_an_image_is_titled_as_the_chart_names_it(image):
    assert VALUES["images"][image]["repository"] == labels(image)["org.opencontainers.image.title"]


@every_image
def test_an_image_bears_the_packages_licence(image):
    assert PROJECT["license"] == labels(image)["org.opencontainers.image.licenses"]


@every_image
def test_an_image_runs_as_the_charts_user_by_number(image):
    user = VALUES["security"]["runAsUser"]

    assert [f"{user}:{user}"] == instruction(image, "USER")


@every_stage
def test_a_stages_image_starts_what_the_local_runner_starts(image):
    assert ["python", *COMMANDS[STAGES[image]][1:]] == json.loads(instruction(image, "ENTRYPOINT")[0])


def test_the_controllers_image_starts_the_command_line():
    assert ["python", "-m", "controller"] == json.loads(instruction("controller", "ENTRYPOINT")[0])


@every_image
def test_an_image_starts_without_a_shell_that_would_keep_sigterm(image):
    assert [] == instruction(image, "CMD")
    assert all(line.startswith("[") for line in instruction(image, "ENTRYPOINT"))


@every_image
def test_an_image_installs_one_extra(image):
    assert [EXTRAS[image]] == re.findall(r"sh dependencies\.sh (\S+)", TEXTS[image])


@every_stage
def test_a_stages_caches_lie_where_the_controller_mounts_a_folder(image):
    caches = {name: path for name, path in variables(image).items() if name in podspec._CACHES}

    assert dict(podspec._CACHES) == caches


def test_the_controller_writes_below_the_one_folder_that_its_pod_has():
    written = {name: variables("controller")[name] for name in ("HOME", "XDG_CACHE_HOME", "TOUGE_HOME")}

    assert [] == [name for name, path in written.items() if path != "/tmp" and not path.startswith("/tmp/")]


@every_image
def test_a_user_without_an_entry_in_passwd_has_a_name_all_the_same(image):
    assert variables(image)["USER"]


@every_image
def test_an_image_names_the_file_of_its_baked_code_digests(image):
    written = (ROOT / "images/package.sh").read_text("utf-8").split(">")[-1].strip()

    assert variables(image)[BAKED] == written.replace("/opt/package", "/opt/touge")


@every_image
def test_nothing_is_imported_from_the_folder_that_a_process_starts_in(image):
    assert "1" == variables(image)["PYTHONSAFEPATH"]


@every_image
def test_dependencies_are_the_lowest_layer_and_our_own_code_the_highest(image):
    steps = re.findall(r"^(?:RUN|COPY .*)", final(image), re.MULTILINE)

    assert steps[0] == "COPY --from=dependencies /opt/touge /opt/touge"
    assert steps[-1] == "COPY --from=package /opt/package /opt/touge"


def test_images_build_in_the_same_steps_but_for_their_extra():
    def steps(image: str) -> str:
        build = TEXTS[image].partition("\n")[2].partition("\nFROM base\n")[0]
        said = re.sub(r"^#.*\n", "", build, flags=re.MULTILINE)
        return said.replace(f"dependencies.sh {EXTRAS[image]}", "dependencies.sh EXTRA")

    assert 1 == len({steps(image) for image in DOCKERFILES})


def may_compile(image: str) -> bool:
    """Return whether a stage chooses how its model runs; another's is never compiled."""
    packages = set(STAGE_PACKAGES[STAGES[image]]) - {"alpamayo"}
    sources = [path for package in packages for path in (ROOT / "src/touge" / package).rglob("*.py")]
    return any(re.search(r"\bchosen\(", path.read_text("utf-8")) for path in sources)


def test_training_may_compile():
    assert may_compile("train")


@every_stage
def test_a_stage_that_compiles_finds_a_compiler(image):
    assert " gcc " in final(image) or not may_compile(image)


@pytest.mark.parametrize("image", ["controller", "curate"])
def test_no_compiler_is_put_where_nothing_is_compiled(image):
    assert "apt-get" not in TEXTS[image]


@every_image
def test_the_base_is_checked_before_anything_else(image):
    first = re.search(r"^FROM \$\{BASE_IMAGE\} AS base\n(.*)", TEXTS[image], re.MULTILINE)[1]

    assert first.endswith("check-base.sh")
    assert 1 == TEXTS[image].count("${BASE_IMAGE}")


@every_image
def test_a_build_reads_nothing_that_dockerignore_keeps_back(image):
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", TEXTS[image], re.MULTILINE)

    names = [name for line in copied for name in line.split()]

    assert [] == [name for name in names if not any(fnmatch(name, pattern) for pattern in allowed)]
