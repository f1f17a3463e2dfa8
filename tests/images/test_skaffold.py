"""skaffold.yaml, held against the chart's values, the images' builder and skaffold's published schema.

There is no skaffold here, nor may its schema be copied: the table has the fields of v4beta13 that the file uses.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml
from build_images import DOCKERFILES, ROOT, version
from helm import find, rendered, setting, stage_pod

CONFIG = yaml.safe_load((ROOT / "skaffold.yaml").read_text("utf-8"))
VALUES = yaml.safe_load((ROOT / "charts/touge/values.yaml").read_text("utf-8"))
ARTIFACTS = [f"touge/{image}" for image in DOCKERFILES]
PROFILES = {profile["name"]: profile for profile in CONFIG["profiles"]}

#: Fields by where they stand; `*` is any item of a list or any name (https://skaffold.dev/docs/references/yaml).
KNOWN: Mapping[str, set[str]] = {
    "": {"apiVersion", "kind", "metadata", "build", "deploy", "profiles"},
    "metadata": {"name"},
    "build": {"tagPolicy", "local", "artifacts", "platforms"},
    "build.tagPolicy": {"customTemplate"},
    "build.tagPolicy.customTemplate": {"template", "components"},
    "build.tagPolicy.customTemplate.components.*": {"name", "gitCommit"},
    "build.tagPolicy.customTemplate.components.*.gitCommit": {"variant"},
    "build.local": {"push", "useBuildkit", "concurrency"},
    "build.artifacts.*": {"image", "docker"},
    "build.artifacts.*.docker": {"dockerfile"},
    "deploy": {"helm"},
    "deploy.helm": {"releases"},
    "deploy.helm.releases.*": {
        "name", "chartPath", "namespace", "createNamespace", "wait", "valuesFiles", "setValues", "setValueTemplates",
    },
    "profiles.*": {"name", "activation", "build", "patches"},
    "profiles.*.activation.*": {"kubeContext"},
    "profiles.*.patches.*": {"op", "path", "value"},
}  # fmt: skip
#: What has names of its own below it.
FREE = ("setValues", "setValueTemplates", "value")


def with_profile(name: str | None) -> dict[str, Any]:
    """Return the configuration as skaffold reads it with a profile: its build over the build, its patches applied."""
    config = copy.deepcopy(CONFIG)
    profile = PROFILES.get(name or "", {})
    config["build"] |= profile.get("build", {})
    for patch in profile.get("patches", ()):
        assert patch["op"] == "add"
        *folders, leaf = patch["path"].strip("/").split("/")
        node: Any = config
        for folder in folders:
            node = node[int(folder)] if isinstance(node, list) else node[folder]
        node[leaf] = patch["value"]
    return config


def release(name: str | None) -> dict[str, Any]:
    return with_profile(name)["deploy"]["helm"]["releases"][0]


def unknown(node: Any, path: str = "") -> Iterator[str]:
    """Yield every field that the table does not have."""
    if isinstance(node, list):
        for item in node:
            yield from unknown(item, f"{path}.*")
    elif isinstance(node, dict):
        known = KNOWN[path.replace("profiles.*.build", "build")]
        yield from (f"{path}.{field}" for field in node.keys() - known)
        for field in node.keys() & known - set(FREE):
            yield from unknown(node[field], f"{path}.{field}".strip("."))


def value_at(path: str) -> Any:
    node: Any = VALUES
    for part in path.split("."):
        node = node[part]
    return node


every_profile = pytest.mark.parametrize("profile", [None, *PROFILES])


def test_every_field_is_one_of_the_schemas_that_it_names():
    assert "skaffold/v4beta13" == CONFIG["apiVersion"]
    assert [] == list(unknown(CONFIG))


def test_a_misspelt_field_would_be_found():
    wrong = copy.deepcopy(CONFIG)
    wrong["build"]["artifacts"][0]["docker"]["dockerFile"] = "Dockerfile"

    assert ["build.artifacts.*.docker.dockerFile"] == list(unknown(wrong))


def test_there_is_a_profile_for_a_trial_for_gpus_and_for_ci():
    assert {"kind", "minikube", "gpu", "ci"} == set(PROFILES)


@every_profile
def test_the_four_images_are_built_under_the_charts_names_from_their_dockerfiles(profile):
    built = {item["image"]: item["docker"]["dockerfile"] for item in with_profile(profile)["build"]["artifacts"]}

    assert {VALUES["images"][image]["repository"]: path for image, path in DOCKERFILES.items()} == built


@every_profile
def test_every_value_that_is_set_is_one_of_the_charts(profile):
    paths = [*release(profile).get("setValues", {}), *release(profile)["setValueTemplates"]]

    assert all(not isinstance(value_at(path), dict) for path in paths)


def test_a_tag_is_one_that_the_chart_takes():
    assert CONFIG["build"]["tagPolicy"]["customTemplate"]["template"].startswith(f"{version()}-")


@pytest.mark.parametrize("profile", ["kind", "minikube"])
def test_a_trial_brings_its_store_and_leaves_its_images_on_the_machine(profile):
    assert {"storage.embedded.enabled": True} == release(profile)["setValues"]
    assert with_profile(profile)["build"]["local"]["push"] is False


@pytest.mark.parametrize("profile", ["gpu", "ci"])
def test_images_for_others_are_pushed_for_the_platform_that_the_pins_are_for(profile):
    build = with_profile(profile)["build"]

    assert build["local"]["push"] is True
    assert ["linux/amd64"] == build["platforms"]


def test_a_cluster_with_gpus_is_described_by_its_platform_team():
    assert ["my-values.yaml"] == release("gpu")["valuesFiles"]


def values_of(profile: str, built: Mapping[str, str]) -> dict[str, Any]:
    """Return the values that skaffold gives helm, for images as they were built: full names by artifact."""
    values: dict[str, Any] = {}
    for path, value in release(profile).get("setValues", {}).items():
        values = setting(path, value, values)
    for path, text in release(profile)["setValueTemplates"].items():
        values = setting(path, _expanded(text, built), values)
    return values


def _expanded(text: str, built: Mapping[str, str]) -> str:
    """Fill in a template of skaffold's (https://skaffold.dev/docs/environment/templating)."""
    for artifact, image in built.items():
        suffix = artifact.replace("/", "_")
        name, _, digest = image.partition("@")
        text = text.replace(f"{{{{.IMAGE_REPO_{suffix}}}}}", name.rpartition(":")[0])
        text = text.replace(f"{{{{.IMAGE_DIGEST_{suffix}}}}}", digest)
    assert "{{" not in text
    return text


def test_images_that_stay_on_the_machine_keep_the_names_that_skaffold_looks_for():
    objects = rendered(values_of("kind", {artifact: f"{artifact}:{'0' * 64}" for artifact in ARTIFACTS}))

    assert f"touge/curate:{version()}" == stage_pod(objects, "curate")["containers"][0]["image"]


def test_pushed_images_are_installed_by_their_digest():
    digest = f"sha256:{'a' * 64}"
    built = {name: f"registry.example.com/{name}:{version()}-1234567@{digest}" for name in ARTIFACTS}
    objects = rendered(setting("storage.embedded.enabled", True, values_of("gpu", built)))
    controller = find(objects, "Deployment", "touge-controller")["spec"]["template"]["spec"]["containers"][0]

    assert f"registry.example.com/touge/controller@{digest}" == controller["image"]
    assert f"registry.example.com/touge/train@{digest}" == stage_pod(objects, "train-lora")["containers"][0]["image"]
