"""Job templates: the chart's suspended CronJobs, as the manifests are made from them. Pure.

Stands between the platform team's chart and `manifests`: a CronJob's document in, a checked `Template` out. A template
is found by the label `touge/template`; its jobTemplate carries the annotation `touge/placement`, a JSON document of
`placement.Placement`, and a container `stage` that knows the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from controller.manifests.podspec import STAGE, stage_of
from controller.placement.affinity import Placement
from touge.contract.environment import STORE
from touge.contract.errors import SettingsError
from touge.contract.model import problems
from touge.contract.plan import Plan, StageName

TEMPLATE_LABEL = "touge/template"
PLACEMENT = "touge/placement"
CODE = "touge/code-digest"

#: Labels and annotations by which Helm and Argo CD know what is theirs; a copy that kept them would be pruned.
_TRACKING = frozenset({"app.kubernetes.io/managed-by", "app.kubernetes.io/instance", "helm.sh/chart"})
_TRACKING_PREFIXES = ("helm.sh/", "meta.helm.sh/", "argocd.argoproj.io/")


@dataclass(frozen=True, slots=True)
class Template:
    """One checked Job template.

    Args:
        name: Such as `train-lora`.
        namespace: Where it lies, and so will its Jobs; None where the document does not say.
        labels: Of the Job, without anybody's tracking labels; `annotations` alike.
        pod: The pod template.
        placement: What the platform says about its GPU nodes.
        code: Digest of the code in its image; empty where the platform does not tell.
    """

    name: str
    namespace: str | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    pod: Mapping[str, Any]
    placement: Placement
    code: str = ""


def template_name(stage: StageName, method: str) -> str:
    """Return the name of the template that a stage's Jobs are made from."""
    return {"train": f"train-{method}"}.get(stage, stage.removesuffix("-map"))


def read_templates(documents: Iterable[Mapping[str, Any]]) -> dict[str, Template]:
    """Return the templates among Kubernetes objects, by name.

    Raises:
        SettingsError: With every problem of every template.
    """
    found: dict[str, Template] = {}
    wrong: list[str] = []
    for document in documents:
        if not (name := template_label(document)):
            continue
        if name in found:
            wrong.append(f"{name}: there are two of it")
        try:
            found[name] = _read(name, _without_nulls(document))
        except SettingsError as error:
            wrong.append(str(error))
    if wrong:
        lines = "\n".join(f"  - {line}" for line in wrong)
        raise SettingsError(f"Job templates that cannot be used; install the chart of this version again\n{lines}")
    return found


def templates_for(plan: Plan, known: Mapping[str, Template]) -> dict[str, Template]:
    """Return the templates of a plan's stages, by name.

    Raises:
        SettingsError: With every one that is missing, or whose image tells other code than the plan was made for.
    """
    wanted = {template_name(stage.name, plan.recipe.train.method): stage.code for stage in plan.stages}
    if missing := sorted(wanted.keys() - known.keys()):
        there = ", ".join(sorted(known)) or "none"
        raise SettingsError(f"no Job template {', '.join(missing)} there; it has {there}. Install the chart there")
    if other := sorted(name for name, code in wanted.items() if known[name].code not in {"", code}):
        raise SettingsError(
            f"the images of {', '.join(other)} hold other code than this plan was made for, and would refuse it. "
            "Submit with the version of touge that is installed there, or have the chart of this version installed"
        )
    return {name: known[name] for name in wanted}


def template_label(document: Mapping[str, Any]) -> str:
    """Return which template a Kubernetes object is; empty where it is none."""
    labels = (document.get("metadata") or {}).get("labels") or {}
    return str(labels.get(TEMPLATE_LABEL, "")) if document.get("kind") == "CronJob" else ""


def untracked(keys: Mapping[str, str] | None) -> dict[str, str]:
    """Return labels or annotations without those by which Helm and Argo CD track objects."""
    return {
        key: value
        for key, value in (keys or {}).items()
        if key not in _TRACKING and not key.startswith(_TRACKING_PREFIXES)
    }


def _read(name: str, document: Mapping[str, Any]) -> Template:
    try:
        job = document["spec"]["jobTemplate"]
        pod = job["spec"]["template"]
        wrong = _pod_problems(pod["spec"])
    except (KeyError, TypeError):
        raise SettingsError(f"{name}: no spec.jobTemplate.spec.template with named containers") from None
    metadata = job.get("metadata", {})
    annotations = untracked(metadata.get("annotations"))
    placement, unplaced = _placement(annotations.pop(PLACEMENT, None))
    wrong += unplaced
    if wrong or placement is None:
        raise SettingsError(f"{name}: {'; '.join(wrong)}")
    return Template(
        name=name,
        namespace=document["metadata"].get("namespace"),
        labels=untracked(metadata.get("labels")),
        annotations=annotations,
        pod=pod,
        placement=placement,
        code=(document["metadata"].get("annotations") or {}).get(CODE, ""),
    )


def _without_nulls(value: Any) -> Any:
    """Return the document without keys that hold null, which Helm leaves and the API server would drop."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _placement(text: str | None) -> tuple[Placement | None, list[str]]:
    if text is None:
        return None, [f"no annotation {PLACEMENT} in its jobTemplate"]
    try:
        return Placement.read_json(text), []
    except ValidationError as error:
        return None, [f"{PLACEMENT}: {problem}" for problem in problems(error, Placement)]


def _pod_problems(pod: Mapping[str, Any]) -> list[str]:
    if not any(container["name"] == STAGE for container in pod["containers"]):
        names = ", ".join(container["name"] for container in pod["containers"])
        return [f"no container named {STAGE} (it has {names})"]
    stage = stage_of(pod)
    told = any(variable["name"] == STORE for variable in stage.get("env", ()))
    return [] if told or stage.get("envFrom") else [f"its container sets no {STORE}; set storage in the chart's values"]
