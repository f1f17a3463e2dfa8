"""podFailurePolicies against the exit-code table, judged as Kubernetes judges them: the first rule that fits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.manifests import failure_policy
from touge.contract.exit_codes import RULES, UNCAUGHT, Consequence

POLICIES = {f.__name__: f() for f in (failure_policy.single_pod, failure_policy.shards, failure_policy.several_nodes)}
FAILING = {rule.code for rule in RULES if rule.consequence is Consequence.FAIL} | set(UNCAUGHT)


def action(policy, code, *, disrupted=False):
    """Return what Kubernetes does; Count where no rule fits, which ends the pod's Job or index."""
    for rule in policy["rules"]:
        codes = rule.get("onExitCodes")
        if codes and (code in codes["values"]) == (codes["operator"] == "In"):
            return rule["action"]
        if disrupted and "onPodConditions" in rule:
            return rule["action"]
    return "Count"


@given(code=st.integers(1, 255))
def test_one_pod_fails_its_job_at_once_where_the_table_says_fail(code):
    assert (action(POLICIES["single_pod"], code) == "FailJob") == (code in FAILING)


@given(code=st.integers(1, 255))
def test_a_shard_with_bad_data_fails_alone_and_every_other_failure_as_one_pods(code):
    expected = "FailIndex" if code == 11 else action(POLICIES["single_pod"], code)

    assert action(POLICIES["shards"], code) == expected


@given(code=st.integers(1, 255), disrupted=st.booleans())
def test_of_several_nodes_anyone_who_fails_fails_all(code, disrupted):
    assert action(POLICIES["several_nodes"], code, disrupted=disrupted) == "FailJob"


@pytest.mark.parametrize("name", ["single_pod", "shards"])
@pytest.mark.parametrize("code", [1, 30, 31, 137, 143])
def test_an_evicted_pod_is_replaced_however_it_ended(name, code):
    assert action(POLICIES[name], code, disrupted=True) == "Ignore"


@pytest.mark.parametrize("name", ["single_pod", "shards"])
def test_a_stop_with_a_checkpoint_costs_nothing(name):
    assert action(POLICIES[name], 31) == "Ignore"


@pytest.mark.parametrize("name", ["single_pod", "shards"])
@pytest.mark.parametrize("code", [30, 134, 137, 139, 143])
def test_what_the_controller_tries_again_is_left_to_it(name, code):
    assert action(POLICIES[name], code) == "Count"


@pytest.mark.parametrize("name", POLICIES)
def test_kubernetes_takes_the_rules(name):
    for rule in POLICIES[name]["rules"]:
        codes = rule.get("onExitCodes", {"values": [1], "operator": "In"})
        assert codes["values"] == sorted(set(codes["values"]))
        assert 0 not in codes["values"] or codes["operator"] == "NotIn"
        assert ("onExitCodes" in rule) != ("onPodConditions" in rule)


@pytest.mark.parametrize("name", ["single_pod", "shards"])
def test_without_its_first_rule_an_evicted_pod_would_fail_the_run(name):
    rest = {"rules": POLICIES[name]["rules"][1:]}

    assert action(rest, 1, disrupted=True) == "FailJob"
