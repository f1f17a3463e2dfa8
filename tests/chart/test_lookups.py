"""What an install finds in the namespace: kept credentials, and what the values name and is not there."""

from __future__ import annotations

import re

import yaml
from cluster_reads import serving
from helm import CHART, EVERYTHING, TRIAL, helm

#: Everything that an install may name, without what this API server does not have.
NAMING = {key: EVERYTHING[key] for key in ("storage", "hub", "caBundle", "images", "retrain", "networkPolicy")}
SERVER_SIDE = ("-n", "roads", "--dry-run=server", "--disable-openapi-validation")


def thing(kind, name, **content):
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "roads"}, **content}


#: Every namespace has it.
HERE = thing("ServiceAccount", "default")


def missing(*objects):
    """Return what the notes of an install say is not there."""
    with serving(HERE, *objects) as address:
        done = helm("install", "touge", str(CHART), *SERVER_SIDE, "--kube-apiserver", address, values=NAMING)
    assert done.returncode == 0, done.stderr
    return re.findall(r"^  ! (\w+) (\S+) is not in roads: pods wait for it", done.stdout, re.MULTILINE)


def test_what_the_values_name_and_nobody_has_made_is_named():
    assert missing() == [
        ("Secret", "s3-jobs"), ("Secret", "s3-controller"), ("Secret", "hub"), ("Secret", "mirror"),
        ("ConfigMap", "company-ca"), ("ConfigMap", "touge-retrain"),
    ]  # fmt: skip


def test_what_is_there_is_not_named():
    made = [thing("Secret", name) for name in ("s3-jobs", "s3-controller", "hub", "mirror")]

    assert missing(*made, thing("ConfigMap", "touge-retrain")) == [("ConfigMap", "company-ca")]


def of_the_release(document):
    """Return an object as helm marks its own."""
    owner = {"meta.helm.sh/release-name": "touge", "meta.helm.sh/release-namespace": "roads"}
    marks = {"labels": {"app.kubernetes.io/managed-by": "Helm"}, "annotations": owner}
    return document | {"metadata": document["metadata"] | marks}


def test_the_trials_credentials_outlive_an_upgrade():
    kept = {"AWS_ACCESS_KEY_ID": "a2VwdA==", "AWS_SECRET_ACCESS_KEY": "a2VwdCB0b28="}
    with serving(HERE, of_the_release(thing("Secret", "touge-store", data=kept))) as address:
        store = ("--kube-apiserver", address, "-s", "templates/embedded-store.yaml")
        done = helm("template", "touge", str(CHART), *SERVER_SIDE, *store, values=TRIAL)

    assert done.returncode == 0, done.stderr
    assert next(yaml.safe_load_all(done.stdout))["data"] == kept


def test_a_trials_credentials_are_made_up_and_long():
    first, second = (helm("template", "touge", str(CHART), "-s", "templates/embedded-store.yaml", values=TRIAL).stdout
                     for _ in range(2))  # fmt: skip
    secrets = [next(yaml.safe_load_all(text))["data"]["AWS_SECRET_ACCESS_KEY"] for text in (first, second)]

    assert secrets[0] != secrets[1]
    assert all(len(secret) >= 40 for secret in secrets)
