"""The `helm` binary at work on our chart: values in, Kubernetes objects or the refusal's words out.

It is taken from PATH, or where the test cluster's binaries lie; without it a test that calls it is skipped with a word
on how to get it.
"""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import binaries
import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "touge"
VALUES = ROOT / "tests" / "chart" / "values"
#: What a cluster with every optional part has.
APIS = ("kueue.x-k8s.io/v1beta1", "monitoring.coreos.com/v1")
_WHY_SKIPPED = f"no `helm` on PATH; {binaries.HOW}, or `go install helm.sh/helm/v4/cmd/helm@v4.3.1`"


def read_values(name: str) -> dict[str, Any]:
    """Return one of the value files beside the tests."""
    return yaml.safe_load((VALUES / f"{name}.yaml").read_text("utf-8"))


TRIAL, EVERYTHING = read_values("trial"), read_values("everything")


def setting(path: str, value: Any, base: dict[str, Any] = TRIAL) -> dict[str, Any]:
    """Return the values with one of them set, by its dotted path."""
    values = copy.deepcopy(base)
    *folders, leaf = path.split(".")
    node = values
    for folder in folders:
        node = node.setdefault(folder, {})
    node[leaf] = value
    return values


def helm(*arguments: str, values: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """Run helm, with values as it would be given a file of them; no cluster is asked."""
    command = [found(), *arguments, *(["--values", "-"] if values is not None else [])]
    environ = {"PATH": "", "HOME": "/nonexistent", "KUBECONFIG": "/dev/null"}
    given = json.dumps(values) if values is not None else ""
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False, env=environ)


def found() -> str:
    """Return the binary on PATH or of the test cluster; without either the test is skipped."""
    binary = shutil.which("helm") or binaries.binary("helm")
    if binary is None:
        pytest.skip(_WHY_SKIPPED)
    return str(binary)


def template(values: dict[str, Any], *arguments: str, release: str = "touge", apis: tuple[str, ...] = APIS) -> Any:
    """Return what `helm template` did."""
    known = [word for api in apis for word in ("--api-versions", api)]
    return helm("template", release, str(CHART), "--namespace", "roads", *known, *arguments, values=values)


def rendered(values: dict[str, Any], *arguments: str, **more: Any) -> list[dict[str, Any]]:
    """Return every object that an install would create."""
    done = template(values, *arguments, **more)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.load_all(done.stdout, _Strict) if document]


def refusal(values: dict[str, Any], *arguments: str, **more: Any) -> str:
    """Return the words with which values are refused."""
    done = template(values, *arguments, **more)
    assert done.returncode != 0, "it was accepted"
    return done.stderr


def find(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """Return the object of a kind and a name."""
    found = [item for item in objects if item["kind"] == kind and item["metadata"]["name"] == name]
    assert len(found) == 1, [(item["kind"], item["metadata"]["name"]) for item in objects]
    return found[0]


def pod_templates(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return every pod that an install would lead to, by its owner's kind and name."""
    return {f"{item['kind']}/{item['metadata']['name']}": pod for item in objects if (pod := _pod_of(item))}


def stage_pod(objects: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return the pod spec of a Job template."""
    return _pod_of(find(objects, "CronJob", f"touge-{name}"))["spec"]


def variables(pod: dict[str, Any]) -> dict[str, Any]:
    """Return the environment of a pod's only container."""
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in pod["containers"][0]["env"]}


def _pod_of(item: dict[str, Any]) -> dict[str, Any]:
    match item["kind"]:
        case "Pod":
            return item
        case "Deployment":
            return item["spec"]["template"]
        case "CronJob":
            return item["spec"]["jobTemplate"]["spec"]["template"]
    return {}


class _Strict(yaml.SafeLoader):
    """Refuses a key that is given twice, as the API server does."""


def _mapping(loader: _Strict, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    assert len(keys) == len(set(keys)), f"given twice in {keys}"
    return loader.construct_mapping(node, deep=True)


_Strict.add_constructor("tag:yaml.org,2002:map", _mapping)
