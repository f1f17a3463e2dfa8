"""What a scheduler makes of node affinity: the rules of kube-scheduler, and of Karpenter for nodes that do not exist.

https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#node-affinity
https://github.com/kubernetes-sigs/karpenter/tree/main/pkg/controllers/provisioning/scheduling (preferences.go)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"

Labels = Mapping[str, str]
Affinity = Mapping[str, Any]


def matches(affinity: Affinity, labels: Labels) -> bool:
    """Judge as kube-scheduler does: terms are ORed, expressions ANDed."""
    return any(_term(term, labels) for term in terms(affinity))


def score(affinity: Affinity, labels: Labels) -> int:
    """Return the sum of the weights of all preferences that a node meets."""
    return sum(item["weight"] for item in affinity.get(PREFERRED, ()) if _term(item["preference"], labels))


def provisions(affinity: Affinity, offered: Labels) -> bool:
    """Judge as Karpenter does for an instance type: it tries the first term with the heaviest preference.

    What it drops when that fails: first required terms from the front, but the last; then preferences.
    """
    required = list(terms(affinity))
    preferred = sorted(affinity.get(PREFERRED, ()), key=lambda item: -item["weight"])
    while True:
        asked = [*required[0]["matchExpressions"]]
        asked += preferred[0]["preference"]["matchExpressions"] if preferred else []
        if all(_known(expression, offered) for expression in asked):
            return True
        if len(required) > 1:
            required.pop(0)
        elif preferred:
            preferred.pop(0)
        else:
            return False


def terms(affinity: Affinity) -> list[dict[str, Any]]:
    """Return the required alternatives."""
    return affinity[REQUIRED]["nodeSelectorTerms"]


def _term(term: Mapping[str, Any], labels: Labels) -> bool:
    return all(_holds(expression, labels.get(expression["key"])) for expression in term["matchExpressions"])


def _known(expression: Mapping[str, Any], offered: Labels) -> bool:
    """Karpenter refuses a label that it does not know, unless the label must be absent or other than something."""
    if expression["key"] not in offered:
        return expression["operator"] in {"NotIn", "DoesNotExist"}
    return _holds(expression, offered[expression["key"]])


def _holds(expression: Mapping[str, Any], value: str | None) -> bool:
    match expression["operator"]:
        case "Gt" | "Lt":
            return _compared(expression, value)
        case "In":
            return value in expression["values"]
        case "NotIn":
            return value not in expression["values"]
        case "DoesNotExist":
            return value is None
    raise AssertionError(f"unexpected operator: {expression['operator']}")


def _compared(expression: Mapping[str, Any], value: str | None) -> bool:
    """A label that is no whole number never matches."""
    (bound,) = (int(text) for text in expression["values"])
    try:
        number = int(value or "")
    except ValueError:
        return False
    return number > bound if expression["operator"] == "Gt" else number < bound
