"""No line of a template is there for nothing: each is run by an install, or by a refusal, of those below."""

from __future__ import annotations

import re

import pytest
from cluster_reads import serving
from helm import CHART, EVERYTHING, TRIAL, helm, setting
from template_lines import run_marks, traced

pytestmark = pytest.mark.slow

SERVER_SIDE = ("-n", "roads", "--dry-run=server", "--disable-openapi-validation")
HERE = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "roads"}}
AFFINITY = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}
OWN_LABEL = {"key": "example.com/gpu-gb", "bytesPerUnit": 1_000_000_000}
S3 = {"uri": "s3://drives/touge", "jobsSecret": "jobs", "controllerSecret": "controller"}
BAD_PLACEMENT = {
    "placement": {"labels": ["gke"]},
    "methods": {
        "full": {"gpuMemory": {"min": "500GB"}},
        "lora": {"gpuMemory": {"min": "80GB", "max": "48GB"}},
        "qlora": {"affinity": AFFINITY, "gpuMemory": {"min": "24GB"}, "env": [{"name": "HF_TOKEN", "value": "x"}]},
    },
}

INSTALLS = {
    "a trial": TRIAL,
    "every feature": EVERYTHING,
    "claimed GPUs": setting("placement.dynamicAllocation.enabled", value=True),
    "a trial that keeps, with own labels and images": {
        "images": {"train": {"digest": f"sha256:{'0' * 64}"}},
        "storage": {"embedded": {"enabled": True, "size": "50Gi"}},
        "placement": {"labels": ["karpenter", OWN_LABEL]},
        "methods": {"lora": {"gpuMemory": {"max": "80GB"}}, "full": {"affinity": AFFINITY}},
        "networkPolicy": {"enabled": True, "apiServer": {"cidrs": ["10.0.0.1/32"]}},
    },
    "a store that is not named": BAD_PLACEMENT
    | {
        "images": {"train": {"tag": "9.9"}},
        "serviceAccounts": {"jobs": {"create": False}, "controller": {"create": False, "name": "c"}},
        "networkPolicy": {"enabled": True},
        "controller": {"enabled": False, "metrics": {"serviceMonitor": True}},
    },
    "a store with too much": {
        "storage": S3 | {"credentials": "identity", "embedded": {"enabled": True}},
        "serviceAccounts": {"jobs": {"create": False, "name": "j", "annotations": {"a": "b"}}},
    },
    "an identity with secrets": {"storage": S3 | {"credentials": "identity"}},
    "an old cluster": {
        "storage": {"embedded": {"enabled": True}},
        "jobs": {"queue": "research"},
        "controller": {"metrics": {"serviceMonitor": True}},
        "placement": {"dynamicAllocation": {"enabled": True}},
    },
}
_RANDOM = re.compile(r"(AWS_\w+: )[A-Za-z0-9+/=]{20,}")


def installed(chart, name):
    """Return what helm said of an install, and what it asked of the API server."""
    asked = []
    with serving(HERE, asked=asked, old=name == "an old cluster") as address:
        server = (*SERVER_SIDE, "--kube-apiserver", address)
        done = helm("template", "touge", str(chart), *server, values=INSTALLS[name])
    return (_RANDOM.sub(r"\1", done.stdout), done.stderr), run_marks(asked)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Return what each traced install said and which marks it ran, those of earlier ones left out; and every line."""
    known, found = frozenset(), {}
    for name in INSTALLS:
        chart, told = traced(tmp_path_factory.mktemp("traced"), known)
        found[name], run = installed(chart, name)
        known |= run
    return found, known, told


@pytest.mark.parametrize("name", INSTALLS)
def test_a_traced_chart_renders_what_the_chart_renders(name, outcomes):
    said, _, _ = outcomes

    assert installed(CHART, name)[0] == said[name]


def test_every_line_of_every_template_is_run(outcomes):
    _, known, told = outcomes

    assert len(told) > 700
    assert [line for line, mark in told.items() if mark not in known] == []
