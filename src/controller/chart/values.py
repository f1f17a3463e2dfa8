"""Types and bounds of the chart's values: the source of values.schema.json.

What a value means and what it is by default stands in values.yaml. Each leaf that is no switch has an example: an
editor shows it, and the tests set it to see that every value does something. Fields with a default may be left out.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from controller.chart.kubernetes import (
    Affinity,
    Annotations,
    Cidr,
    Labels,
    Mount,
    Name,
    NameOrNone,
    Part,
    Port,
    Resources,
    Selector,
    Size,
    SizeOrNone,
    Subject,
    Toleration,
    Variable,
    Volume,
)
from controller.placement.affinity import Family


def _example(value: Any) -> Any:
    return Field(examples=[value])


Memory = Annotated[str, Field(pattern="^([1-9][0-9]*GB)?$")]
_RESOURCES = {"requests": {"cpu": "3", "memory": "5Gi"}, "limits": {"memory": "5Gi"}}
_TOLERATION = {"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}
_VARIABLE = {"name": "HTTPS_PROXY", "value": "http://proxy:3128"}
_AFFINITY = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "pool", "operator": "In", "values": ["gpu"]}]}]
        }
    }
}


class Global(Part):
    """Shared with a parent chart, which may keep values of its own here."""

    model_config = ConfigDict(extra="allow")

    image_registry: Annotated[str, Field(pattern=r"^([^/\s]\S*[^/\s])?$")] = _example("registry.example.com/mirror")


class Image(Part):
    """One image."""

    repository: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._/:-]*$")] = _example("team/touge")
    tag: Annotated[str, Field(pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$")] = _example("0.1.0-cuda13")
    digest: Annotated[str, Field(pattern="^(sha256:[0-9a-f]{64})?$")] = _example(f"sha256:{'0' * 64}")


class StageImage(Image):
    """An image that runs a stage, and which code it holds."""

    code_digest: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = _example("f" * 64)


class Images(Part):
    """All images and how they are pulled."""

    pull_policy: Literal["IfNotPresent", "Always", "Never"]
    pull_secrets: list[Name] = _example(["registry"])
    controller: Image
    curate: StageImage
    train: StageImage
    evaluate: StageImage


class EmbeddedStore(Part):
    """The store of a trial."""

    enabled: bool
    size: SizeOrNone = _example("50Gi")
    image: Image
    resources: Resources = _example(_RESOURCES)


class Storage(Part):
    """The object store."""

    uri: Annotated[str, Field(pattern=r"^(s3://[a-z0-9][a-z0-9.-]+[a-z0-9](/[^/\s]+)*)?$")] = _example("s3://runs/team")
    endpoint: Annotated[str, Field(pattern=r"^(https?://[^/@\s]+(/\S*)?)?$")] = _example("http://s3.example.com:9000")
    region: Annotated[str, Field(pattern="^[a-z0-9-]*$")] = _example("ap-northeast-1")
    path_style: bool
    credentials: Literal["secret", "identity"]
    jobs_secret: NameOrNone = _example("touge-s3")
    controller_secret: NameOrNone = _example("touge-s3-controller")
    embedded: EmbeddedStore


class Hub(Part):
    """The model hub."""

    token_secret: NameOrNone = _example("hub-token")


class CaBundle(Part):
    """Certificates to trust."""

    config_map: NameOrNone = _example("company-ca")
    key: Annotated[str, Field(pattern="^[-._a-zA-Z0-9]+$")] = _example("bundle.pem")


class ServiceAccount(Part):
    """One service account, made by the chart or not."""

    create: bool
    name: NameOrNone = _example("touge-pods")
    annotations: Annotations = _example({"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/touge"})


class ServiceAccounts(Part):
    """Two accounts, apart."""

    controller: ServiceAccount
    jobs: ServiceAccount


class Subjects(Part):
    """Who has which role."""

    submitter: list[Subject] = _example([{"kind": "Group", "name": "model-team"}])
    runner: list[Subject] = _example([{"kind": "ServiceAccount", "name": "ci", "namespace": "build"}])


class Rbac(Part):
    """Rights of people."""

    read_nodes: bool
    subjects: Subjects


class Security(Part):
    """What of the pods' security is a choice."""

    run_as_user: Annotated[int, Field(ge=1)] = _example(20002)


class MemoryLabel(Part):
    """A platform's own node label that tells one GPU's memory as a whole number."""

    key: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")]
    bytes_per_unit: Annotated[int, Field(ge=1)]
    tells_slices: bool = False


class DynamicAllocation(Part):
    """GPUs claimed from a driver."""

    enabled: bool
    device_class: Name = _example("gpu.example.com")
    domain: Name = _example("gpu.example.com")


class Placement(Part):
    """How a node with enough GPU memory is found."""

    labels: Annotated[list[Family | MemoryLabel], Field(min_length=1, json_schema_extra={"uniqueItems": True})] = (
        _example(["karpenter"])
    )
    shared: bool
    driver: Annotated[int, Field(ge=0)] = _example(550)
    resource: Annotated[str, Field(pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$")] = _example("amd.com/gpu")
    tolerations: list[Toleration] = _example([_TOLERATION])
    dynamic_allocation: DynamicAllocation


class Scratch(Part):
    """Room for a stage's files."""

    size: Size = Field("", examples=["77Gi"])
    storage_class: NameOrNone = Field("", examples=["fast"])


class Stage(Part):
    """What can be set for the pods of every stage, and anew for one; so nothing is required here."""

    queue: NameOrNone = Field("", examples=["gpu-queue"])
    priority_class_name: NameOrNone = Field("", examples=["batch"])
    runtime_class_name: NameOrNone = Field("", examples=["nvidia"])
    node_selector: Annotations = Field({}, examples=[{"pool": "training"}])
    tolerations: list[Toleration] = Field([], examples=[[_TOLERATION]])
    labels: Labels = Field({}, examples=[{"azure.workload.identity/use": "true"}])
    annotations: Annotations = Field({}, examples=[{"sidecar.istio.io/inject": "false"}])
    env: list[Variable] = Field([], examples=[[_VARIABLE]])
    volumes: list[Volume] = Field([], examples=[[{"name": "cache", "persistentVolumeClaim": {"claimName": "cache"}}]])
    volume_mounts: list[Mount] = Field([], examples=[[{"name": "cache", "mountPath": "/cache"}]])
    resources: Resources = Field(Resources(), examples=[{"limits": {"ephemeral-storage": "5Gi"}}])
    scratch: Scratch = Scratch()
    shared_memory: Size = Field("", examples=["3Gi"])
    grace_period_seconds: Annotated[int, Field(ge=30)] = Field(30, examples=[240])


class GpuMemory(Part):
    """Bounds of one GPU's memory, decimal GB."""

    min: Memory = _example("96GB")
    max: Memory = _example("141GB")


class GpuStage(Stage):
    """A stage or method that runs the model."""

    gpu_memory: GpuMemory
    affinity: Affinity = _example(_AFFINITY)


class Stages(Part):
    """Stages other than training."""

    curate: Stage
    evaluate: GpuStage


class Methods(Part):
    """Training, by method."""

    full: GpuStage
    lora: GpuStage
    qlora: GpuStage


class Disruption(Part):
    """Whether GPU pods may be moved."""

    protect: bool
    budget: bool


class Metrics(Part):
    """Who reads the controller's metrics."""

    service_monitor: bool
    interval: Annotated[str, Field(pattern="^[0-9]+(s|m)$")] = _example("15s")
    labels: Labels = _example({"release": "prometheus"})


class Controller(Part):
    """The controller's pods."""

    enabled: bool
    resources: Resources = _example(_RESOURCES)
    priority_class_name: NameOrNone = _example("system")
    node_selector: Annotations = _example({"pool": "system"})
    tolerations: list[Toleration] = _example([_TOLERATION])
    affinity: Affinity = _example(_AFFINITY)
    labels: Labels = _example({"azure.workload.identity/use": "true"})
    annotations: Annotations = _example({"sidecar.istio.io/inject": "false"})
    env: list[Variable] = _example([_VARIABLE])
    metrics: Metrics


class Retrain(Part):
    """Submitting by the calendar."""

    schedule: Annotated[str, Field(pattern=r"^((\S+\s+){4}\S+|@(yearly|monthly|weekly|daily|hourly))?$")] = _example(
        "0 3 * * 6"
    )
    time_zone: Annotated[str, Field(pattern="^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$")] = _example("Asia/Tokyo")
    config_map: Name = _example("weekly")
    key: Annotated[str, Field(pattern="^[-._a-zA-Z0-9]+$")] = _example("weekly.yaml")


class StoreAddress(Part):
    """Where a network policy finds the bucket."""

    cidrs: list[Cidr] = _example(["10.1.0.0/16"])
    pod_selector: Selector = _example({"matchLabels": {"app": "minio"}})
    namespace_selector: Selector = _example({"matchLabels": {"kubernetes.io/metadata.name": "minio"}})
    ports: Annotated[list[Port], Field(min_length=1)] = _example([9000])


class Addresses(Part):
    """Addresses outside the cluster's pods."""

    cidrs: list[Cidr] = _example(["10.2.0.1/32"])
    ports: Annotated[list[Port], Field(min_length=1)] = _example([8443])


_Rules = Annotated[list[dict[str, Any]], WithJsonSchema({"type": "array", "items": {"type": "object"}})]


class NetworkPolicy(Part):
    """Whom pods may talk to."""

    enabled: bool
    store: StoreAddress
    identity: Addresses
    api_server: Addresses
    metrics_from: _Rules = _example([{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}])
    egress: _Rules = _example([{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": 443}]}])


class Values(Part):
    """Everything that the chart can be told."""

    global_: Global = Field(alias="global")
    fullname_override: Annotated[str, Field(pattern="^([a-z]([-a-z0-9]{0,38}[a-z0-9])?)?$")] = _example("bends")
    common_labels: Labels = _example({"team": "perception"})
    images: Images
    storage: Storage
    hub: Hub
    ca_bundle: CaBundle
    service_accounts: ServiceAccounts
    rbac: Rbac
    security: Security
    placement: Placement
    jobs: Stage
    stages: Stages
    methods: Methods
    disruption: Disruption
    controller: Controller
    retrain: Retrain
    network_policy: NetworkPolicy
