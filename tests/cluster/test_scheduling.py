"""Where each method lands on the nodes of every platform: the real scheduler's word, and our model's beside it."""

from __future__ import annotations

import copy
import re

import pytest
from cluster_runs import attempt, chart_templates, make_account, plan_for, recorded
from daemons import wait_until
from fake_nodes import HANG, fake_node
from gpu_nodes import NODES, node
from scheduling import matches, score

METHODS = ("full", "lora", "qlora")
POOL = "touge.test/pool"
FAMILIES = ("gpu-feature-discovery", "karpenter", "eks", "coreweave", "gke")


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def pinned(job, name, **labels):
    """Return a Job under another name whose pods may run on nodes with these labels only."""
    job = copy.deepcopy(job)
    job["metadata"]["name"] = name
    spec = job["spec"]["template"]["spec"]
    spec["nodeSelector"] = spec.get("nodeSelector", {}) | labels
    return job


def judged(plane, namespace, count):
    """Return the pods of so many Jobs once the scheduler has judged each, by their Job's name."""
    found, events = {}, ("get", "events", "--namespace", namespace)

    def all_judged():
        pods = plane.get("pods", "--namespace", namespace)["items"]
        found.update({pod["metadata"]["labels"]["job-name"]: pod for pod in pods if landed(pod) or refused(pod)})
        return len(found) == count

    wait_until(
        all_judged,
        f"{count} pods are judged",
        seconds=120,
        told=lambda: f"{len(found)} are: {plane.kubectl(*events)[-1000:]}",
    )
    return found


def landed(pod):
    return pod["spec"].get("nodeName")


def refused(pod):
    """Return why a pod waits, in the scheduler's words."""
    conditions = pod.get("status", {}).get("conditions", ())
    return next((item["message"] for item in conditions if item.get("reason") == "Unschedulable"), None)


@pytest.fixture(scope="module")
def placed(plane):
    """Return what became of each method's Job on each node alone: pods by (node, method), and the Jobs."""
    namespace, nodes = plane.restricted_namespace(), {name: slug(name) for name in NODES}
    make_account(plane, namespace)
    plane.create(fake_node(nodes[name], NODES[name][0]) for name in NODES)
    jobs = {}
    for method in METHODS:
        plan, templates = plan_for(method), chart_templates(namespace)
        job = attempt(plan, "train", templates, recorded(plane, plan, namespace))[-1]
        jobs |= {
            (name, method): pinned(job, f"{method}-{nodes[name]}"[:57], **{"kubernetes.io/hostname": nodes[name]})
            for name in NODES
        }
    plane.create(jobs.values())
    pods = judged(plane, namespace, len(jobs))
    yield {case: (pods[job["metadata"]["name"]], job) for case, job in jobs.items()}, nodes
    plane.kubectl("delete", "namespace", namespace, "--wait=false")
    plane.kubectl("delete", "nodes", *nodes.values(), "--wait=false")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NODES)
def test_a_method_lands_where_one_gpu_has_its_memory_and_waits_elsewhere(name, method, placed):
    (pod, job), nodes = placed[0][name, method], placed[1]
    fits = method in NODES[name][1]

    assert landed(pod) == (nodes[name] if fits else None)
    if not fits:
        assert "didn't match Pod's node affinity/selector" in refused(pod)
    assert fits == matches(affinity_of(job), NODES[name][0])


def affinity_of(job):
    return job["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]


def hanging(job):
    """Return a Job whose pods keep their GPUs."""
    job = copy.deepcopy(job)
    job["spec"]["template"]["metadata"].setdefault("annotations", {})[HANG] = "true"
    return job


@pytest.mark.parametrize("family", FAMILIES)
def test_the_smallest_fitting_card_is_taken_first_and_the_next_when_it_is_full(family, plane, namespace):
    sizes, pool = (16, 24, 40, 80), {POOL: slug(family)}
    names = {size: f"{slug(family)}-{size}" for size in sizes}
    labels = {size: node(family, size) | pool for size in sizes}
    plane.create(fake_node(names[size], labels[size], gpus=1) for size in sizes)
    make_account(plane, namespace)
    plan, templates = plan_for("lora"), chart_templates(namespace, placement__labels=[family])
    job = hanging(attempt(plan, "train", templates, recorded(plane, plan, namespace))[-1])
    took = []
    for turn in range(4):
        plane.create([pinned(job, f"turn-{turn}", **pool)])
        took.append(landed(judged(plane, namespace, turn + 1)[f"turn-{turn}"]))
    plane.kubectl("delete", "nodes", *names.values(), "--wait=false")

    assert took == [names[24], names[40], names[80], None]
    assert sorted((24, 40, 80), key=lambda size: -score(affinity_of(job), labels[size])) == [24, 40, 80]
