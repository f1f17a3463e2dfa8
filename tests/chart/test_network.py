"""Whom pods may talk to, who may move them, who reads metrics."""

from __future__ import annotations

import pytest
from helm import EVERYTHING, TRIAL, find, pod_templates, rendered, setting

METADATA_SERVICE = "169.254.169.254/32"


@pytest.fixture(scope="module")
def guarded():
    """Return a trial's objects behind network policies."""
    return rendered(setting("networkPolicy", {"enabled": True, "apiServer": {"cidrs": ["10.0.0.1/32"]}}))


def policy(objects, name):
    return find(objects, "NetworkPolicy", f"touge-{name}")["spec"]


def selects(selector, labels):
    """Whether a label selector matches."""
    met = {
        "Exists": lambda key, _: key in labels,
        "In": lambda key, values: labels.get(key) in values,
        "NotIn": lambda key, values: labels.get(key) not in values,
    }
    expressions = selector.get("matchExpressions", ())
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        met[item["operator"]](item["key"], item.get("values")) for item in expressions
    )


def selected(objects, selector):
    return {owner for owner, pod in pod_templates(objects).items() if selects(selector, pod["metadata"]["labels"])}


def test_every_pod_is_behind_a_policy(guarded):
    policies = [item["spec"] for item in guarded if item["kind"] == "NetworkPolicy"]
    behind = set().union(*(selected(guarded, item["podSelector"]) for item in policies))

    assert behind == set(pod_templates(guarded))
    assert all(item["policyTypes"] == ["Ingress", "Egress"] for item in policies)


def test_stages_take_no_connection(everything):
    stages = policy(everything, "stages")

    assert "ingress" not in stages
    assert len(selected(everything, stages["podSelector"])) == 5


def test_stages_reach_names_the_store_identities_and_what_is_added(everything):
    dns, store, identity, added = policy(everything, "stages")["egress"]

    assert {port["port"] for port in dns["ports"]} == {53}
    assert store["to"] == [
        {"podSelector": {"matchLabels": {"app": "s3"}}, "namespaceSelector": {"matchLabels": {"name": "s3"}}}
    ]
    assert store["ports"] == [{"protocol": "TCP", "port": 8333}]
    assert METADATA_SERVICE in [peer["ipBlock"]["cidr"] for peer in identity["to"]]
    assert added == EVERYTHING["networkPolicy"]["egress"][0]


def test_a_bucket_outside_is_reached_by_its_addresses():
    store = EVERYTHING["networkPolicy"] | {"store": {"cidrs": ["52.0.0.0/8"]}}
    egress = policy(rendered(setting("networkPolicy", store, EVERYTHING)), "stages")["egress"]

    assert egress[1] == {
        "to": [{"ipBlock": {"cidr": "52.0.0.0/8"}}],
        "ports": [{"protocol": "TCP", "port": 443}],
    }


def test_only_the_pods_of_training_talk_to_one_another(everything):
    training = policy(everything, "training")
    pods = selected(everything, training["podSelector"])

    assert pods == {f"CronJob/touge-train-{method}" for method in ("full", "lora", "qlora")}
    assert training["ingress"] == [{"from": [{"podSelector": training["podSelector"]}]}]
    assert training["egress"] == [{"to": [{"podSelector": training["podSelector"]}]}]


def test_the_controller_gives_metrics_to_whom_it_may_and_reaches_the_api_server(everything):
    controller = policy(everything, "controller")

    assert controller["ingress"] == [
        {
            "ports": [{"protocol": "TCP", "port": "http"}],
            "from": EVERYTHING["networkPolicy"]["metricsFrom"],
        }
    ]
    assert controller["egress"][-1]["to"] == [{"ipBlock": {"cidr": "10.0.0.1/32"}}]
    assert selected(everything, controller["podSelector"]) == {
        "Deployment/touge-controller", "CronJob/touge-retrain", "Pod/touge-test",
    }  # fmt: skip


def test_the_trials_store_is_open_to_our_pods_alone(guarded):
    store = policy(guarded, "store")
    peers = [peer["podSelector"] for peer in store["ingress"][0]["from"]]
    reached = set().union(*(selected(guarded, peer) for peer in peers))

    assert selected(guarded, store["podSelector"]) == {"Deployment/touge-store"}
    assert reached == set(pod_templates(guarded))
    assert "egress" not in store
    target = policy(guarded, "stages")["egress"][1]["to"][0]["podSelector"]
    assert selected(guarded, target) == {"Deployment/touge-store"}


def test_no_policy_is_made_unless_it_is_asked_for(trial):
    assert [item for item in trial if item["kind"] in {"NetworkPolicy", "PodDisruptionBudget", "ServiceMonitor"}] == []


def test_a_budget_makes_a_drain_wait_for_every_gpu_pod(everything):
    budget = find(everything, "PodDisruptionBudget", "touge-gpu")["spec"]

    assert selected(everything, budget["selector"]) == {
        "CronJob/touge-train-full", "CronJob/touge-train-lora", "CronJob/touge-train-qlora", "CronJob/touge-evaluate",
    }  # fmt: skip
    assert budget["minAvailable"] > 100_000


def test_gpu_pods_may_be_moved_where_the_platform_says_so():
    pods = pod_templates(rendered(setting("disruption.protect", value=False)))

    assert "annotations" not in pods["CronJob/touge-train-lora"]["metadata"]


def test_prometheus_finds_the_controller(everything):
    monitor = find(everything, "ServiceMonitor", "touge-controller")
    service = find(everything, "Service", "touge-controller")

    assert monitor["metadata"]["labels"]["release"] == "monitoring"
    assert selects(monitor["spec"]["selector"], service["metadata"]["labels"])
    assert monitor["spec"]["endpoints"] == [{"port": "http", "path": "/metrics", "interval": "30s"}]


def test_services_select_the_pods_of_their_deployments(trial):
    pods = pod_templates(trial)
    for name in ("controller", "store"):
        selector = {"matchLabels": find(trial, "Service", f"touge-{name}")["spec"]["selector"]}
        assert {owner for owner, pod in pods.items() if selects(selector, pod["metadata"]["labels"])} == {
            f"Deployment/touge-{name}"
        }
        assert find(trial, "Deployment", f"touge-{name}")["spec"]["selector"] == selector


def test_the_trials_store_keeps_its_files_with_its_pod_or_on_a_claim():
    kept = rendered(setting("storage.embedded.size", "50Gi"))
    volumes = [find(objects, "Deployment", "touge-store")["spec"]["template"]["spec"]["volumes"][0] for objects in (
        rendered(TRIAL), kept,
    )]  # fmt: skip

    assert volumes == [
        {"name": "data", "emptyDir": {}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "touge-store"}},
    ]
    claim = find(kept, "PersistentVolumeClaim", "touge-store")["spec"]
    assert claim["resources"]["requests"]["storage"] == "50Gi"
