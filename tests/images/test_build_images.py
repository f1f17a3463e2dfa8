"""The commands of `make images`."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest
from build_images import DOCKERFILES, ROOT, Build, version

BUILDAH = Build(["buildah"], epoch=1_700_000_000)


def following(command: list[str], option: str) -> list[str]:
    """Return the words that follow an option."""
    return [after for before, after in pairwise(command) if before == option]


@pytest.mark.parametrize("image", DOCKERFILES)
def test_an_image_is_built_from_its_dockerfile_under_the_charts_name(image):
    command = BUILDAH.command(image)

    assert [f"docker.io/touge/{image}:{version()}"] == following(command, "--tag")
    assert [DOCKERFILES[image]] == following(command, "--file")


def test_a_mirror_goes_before_every_name():
    assert (
        Build(["docker"], registry="registry.example.com").name("train").startswith("registry.example.com/touge/train:")
    )


def test_another_base_is_given_and_otherwise_the_dockerfiles_own_is_kept():
    other = Build(["docker"], base="python:3.12-slim").command("curate")

    assert "BASE_IMAGE=python:3.12-slim" in following(other, "--build-arg")
    assert not any(word.startswith("BASE_IMAGE") for word in BUILDAH.command("curate"))


def test_certificates_are_given_as_a_secret_which_stays_in_no_layer():
    command = Build(["docker"], certificates="/etc/ssl/own.crt").command("curate")

    assert ["id=pip-cert,src=/etc/ssl/own.crt"] == following(command, "--secret")
    assert not any("own.crt" in word for word in following(command, "--build-arg"))


def test_buildah_dates_every_file_of_a_layer():
    assert ["1700000000"] == following(BUILDAH.command("curate"), "--timestamp")


def test_docker_is_told_the_date_by_argument_alone():
    command = Build(["docker"], epoch=5).command("curate")

    assert "SOURCE_DATE_EPOCH=5" in following(command, "--build-arg")
    assert "--timestamp" not in command


def test_an_unknown_image_is_refused_with_those_that_there_are():
    done = subprocess.run(
        [sys.executable, "images/build_images.py", "eval"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "no image eval; there are controller, curate, train, evaluate" in done.stderr


def test_a_machine_without_an_engine_is_told_which_there_are(tmp_path):
    command = [sys.executable, "images/build_images.py"]
    done = subprocess.run(command, cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "neither buildah nor docker" in done.stderr
