"""What `plan --render` prints: every object of a run's first attempts, as YAML. Templates come from a folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from touge.contract.errors import SettingsError

if TYPE_CHECKING:
    from controller.manifests.job import Object
    from controller.manifests.templates import Template
    from controller.state import Task
    from touge.contract.plan import Plan

#: In place of the run record's uid, which the API server gives.
UNKNOWN_UID = "00000000-0000-0000-0000-000000000000"
NOTE = "# As sent, but for the owner's uid: the run record's is known once Kubernetes has made it."


def rendered(plan: Plan, done: frozenset[Task], templates: Mapping[str, Template]) -> list[Object]:
    """Return the objects of all stages that must still run, in order; but for the owner's uid as they are sent.

    Args:
        plan: The run's plan.
        done: Tasks that are committed.
        templates: Job templates by name.

    Raises:
        SettingsError: With the problems of every stage.
    """
    from controller.manifests.job import Attempt, Owner, render
    from controller.reconcile import needed_stages

    objects: list[Object] = []
    wrong: list[str] = []
    for stage in needed_stages(plan, done):
        try:
            objects += render(Attempt(plan, stage.name), templates, Owner(plan.run, UNKNOWN_UID))
        except SettingsError as error:
            wrong.append(f"{stage.name}: {error}")
    if wrong:
        raise SettingsError("\n".join(wrong))
    return objects


def read_documents(folder: Path) -> list[dict[str, Any]]:
    """Return every Kubernetes object in a folder's YAML files.

    Raises:
        SettingsError: If there is no such folder, or a file is not YAML.
    """
    if not folder.is_dir():
        raise SettingsError(f"--templates {folder}: no such folder; `helm template --output-dir {folder}` fills one")
    paths = sorted(path for path in folder.rglob("*") if path.suffix in {".yaml", ".yml"})
    return [document for path in paths for document in _objects(path)]


def to_yaml(objects: Sequence[Mapping[str, Any]]) -> str:
    """Return objects as one YAML stream, short lists on one line, nothing abbreviated."""
    return yaml.dump_all(
        objects, Dumper=_Spelt, sort_keys=False, default_flow_style=None, allow_unicode=True, width=120
    ).rstrip("\n")


class _Spelt(yaml.SafeDumper):
    """Writes what occurs twice twice: kubectl users read no anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the dumper's interface
        return True


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file, those of a `kubectl get -o yaml` list one by one."""
    try:
        documents = [item for item in yaml.safe_load_all(path.read_text("utf-8")) if isinstance(item, dict)]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    for document in documents:
        yield from document.get("items", ()) if document.get("kind") == "List" else (document,)
