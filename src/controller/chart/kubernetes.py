"""Parts of Kubernetes' API that a platform's values pass on: closed where a wrong key would go unseen.

Says less than the API server, which has the last word, and one thing more: what Pod Security "restricted"
refuses is no value.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from touge.contract.model import Document


class Part(Document):
    """A closed mapping with keys in camel case."""

    model_config = ConfigDict(alias_generator=to_camel)


#: A DNS label or subdomain (https://kubernetes.io/docs/concepts/overview/working-with-objects/names/).
NAME = "[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
Name = Annotated[str, Field(pattern=f"^{NAME}$")]
#: The empty string stands for none.
NameOrNone = Annotated[str, Field(pattern=f"^({NAME})?$")]

#: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
QUANTITY = r"[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?"
Size = Annotated[str, Field(pattern=f"^{QUANTITY}$")]
SizeOrNone = Annotated[str, Field(pattern=f"^({QUANTITY})?$")]

#: Domains whose labels the chart sets itself; another value would break selectors, or lose a run's Jobs.
_OWN_LABELS = r"^(app\.kubernetes\.io|helm\.sh|touge)/"
Labels = Annotated[
    dict[str, str],
    WithJsonSchema(
        {
            "type": "object",
            "patternProperties": {_OWN_LABELS: False},
            "additionalProperties": {"type": "string", "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"},
        }
    ),
]
Annotations = dict[str, str]
Port = Annotated[int, Field(ge=1, le=65535)]
Cidr = Annotated[str, Field(pattern=r"^[0-9a-fA-F.:]+/[0-9]{1,3}$")]


class Resources(Part):
    """What a container asks for and may use at most."""

    requests: dict[str, Size | int | float] = {}
    limits: dict[str, Size | int | float] = {}


class Toleration(Part):
    """A taint that does not keep a pod away."""

    key: str = ""
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"
    toleration_seconds: int = 0


class Affinity(Part):
    """Which nodes and neighbours a pod wants."""

    node_affinity: dict[str, Any] = {}
    pod_affinity: dict[str, Any] = {}
    pod_anti_affinity: dict[str, Any] = {}


class Variable(Part):
    """One environment variable, by value or from a Secret, a ConfigMap or the pod itself."""

    name: Annotated[str, Field(min_length=1)]
    value: str = ""
    value_from: dict[str, Any] = {}


class Mount(Part):
    """Where a volume is seen in the container."""

    name: Name
    mount_path: Annotated[str, Field(pattern="^/")]
    sub_path: str = ""
    read_only: bool = False


class Volume(Part):
    """A volume of a kind that Pod Security "restricted" allows (a path of the node is none)."""

    name: Name
    config_map: dict[str, Any] = {}
    csi: dict[str, Any] = {}
    downward_api: dict[str, Any] = Field({}, alias="downwardAPI")
    empty_dir: dict[str, Any] = {}
    ephemeral: dict[str, Any] = {}
    persistent_volume_claim: dict[str, Any] = {}
    projected: dict[str, Any] = {}
    secret: dict[str, Any] = {}


class Selector(Part):
    """Pods or namespaces by their labels."""

    match_labels: dict[str, str] = {}
    match_expressions: list[dict[str, Any]] = []


class Subject(Part):
    """A person, a group or an account."""

    kind: Literal["User", "Group", "ServiceAccount"]
    name: Annotated[str, Field(min_length=1)]
    namespace: NameOrNone = ""
