"""Pods that run this checkout: their node lends them its Python and the sources, read-only, so that no image is built.

The chart refuses volumes of the node, and so does Pod Security; so an install's Job templates are changed behind its
back, in a namespace that enforces nothing. All else is the chart's: user, read-only root, variables, policies.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helm import ROOT
from installs import install
from job_templates import pod_of
from real_node import NAME
from small_images import SHELL
from whole_run import Desk, environ

from control_plane import ControlPlane

#: Python, its packages, the sources, and the libraries of the system.
_LENT = ("/usr", "/lib", "/lib64", sys.base_prefix, str(ROOT))
#: Does as scripts say (`fake_stage`).
FAKE_STAGE = (sys.executable, str(ROOT / "tests/support/fake_stage.py"))
RUNNER, SUBMITTER = "ron", "sue"
_LITTLE = {"resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}
VALUES: dict[str, Any] = {
    "images": {"pullPolicy": "Never"},
    "jobs": {
        "nodeSelector": {"kubernetes.io/hostname": NAME},
        "env": [{"name": "OMP_NUM_THREADS", "value": "1"}],
        "scratch": {"size": "2Gi"},
        "sharedMemory": "64Mi",
        "gracePeriodSeconds": 30,
    },
    "stages": {"curate": _LITTLE, "evaluate": _LITTLE},
    "methods": {"lora": _LITTLE},
    "controller": {"enabled": False},
    "rbac": {
        "readNodes": True,
        "subjects": {
            "runner": [{"kind": "User", "name": RUNNER}],
            "submitter": [{"kind": "User", "name": SUBMITTER}],
        },
    },
}


def install_checkout(
    plane: ControlPlane,
    namespace: str,
    values: dict[str, Any],
    *,
    command: Sequence[str] = (),
    scripts: Path | None = None,
) -> None:
    """Install the chart with pods that run this checkout.

    Args:
        plane: The cluster.
        namespace: One that lets pods mount what is the node's.
        values: Of the chart.
        command: What runs instead of the stages.
        scripts: Folder in which `fake_stage` finds what it is to do.
    """
    install(plane, namespace, values)
    here = ("--namespace", namespace)
    templates = plane.get("cronjobs", *here, "--selector=touge/template")["items"]
    for document in templates:
        lend(pod_of(document["spec"]["jobTemplate"]), command, scripts)
    controllers = plane.get("deployments", *here, "--selector=app.kubernetes.io/component=controller")["items"]
    for document in controllers:
        lend(pod_of(document), (), None)
    given = {"apiVersion": "v1", "kind": "List", "items": [*templates, *controllers]}
    plane.kubectl("replace", "--filename=-", given=given)


def lend(pod: dict[str, Any], command: Sequence[str], scripts: Path | None) -> None:
    """Change a pod so that it runs its module of this checkout, or another command."""
    (container,) = pod["containers"]
    container |= {"image": SHELL, "command": list(command) or [sys.executable, *container["command"][1:]]}
    container["env"] += [{"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}]
    container["env"] += [{"name": "TOUGE_SCRIPTS", "value": str(scripts)}] if scripts else []
    for number, path in enumerate([*_LENT, *([str(scripts)] if scripts else [])]):
        name = f"lent-{number}"
        pod["volumes"].append({"name": name, "hostPath": {"path": path, "type": "Directory"}})
        container["volumeMounts"].append({"name": name, "mountPath": path, "readOnly": True})


def desk_of(plane: ControlPlane, namespace: str, user: str, folder: Path, recipe: Any, **variables: str) -> Desk:
    """Return the desk of somebody who works with a cluster from beside it."""
    known = {
        "KUBECONFIG": str(plane.kubeconfig_of(user)),
        "TOUGE_RUNNER": "kubernetes",
        "TOUGE_NAMESPACE": namespace,
        "TOUGE_HOME": str(folder / "home"),
    }
    within = (*plane.within[:-1], f"--wd={folder}", "--")
    return Desk(folder, recipe, environ(**known | variables), within, 240).write()


def token_kubeconfig(plane: ControlPlane, path: Path, **user: str) -> Path:
    """Write and return a kubeconfig whose user is known by `token` or `tokenFile`."""
    authority = plane.home / "authority.crt"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": plane.server, "certificate-authority": str(authority)}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
    }
    path.write_text(json.dumps(document), "utf-8")
    return path
