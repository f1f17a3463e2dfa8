"""The rights that doctor asks for are those that the chart's roles grant."""

from pathlib import Path

import yaml

from controller.doctor.rights import RUNNER, SUBMITTER

CHART = Path(__file__).parents[4] / "charts/touge/templates/_rights.tpl"


def granted(definition):
    """Return the rules of one definition that hold without any optional part, as doctor writes them."""
    text = CHART.read_text(encoding="utf-8").split(f'define "{definition}"')[1].split("{{- if")[0].split("{{- end")[0]
    rules = yaml.safe_load("\n".join(line for line in text.splitlines() if line.startswith("- ")))
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def asked(rights):
    return {(right.group, right.resource, verb) for right in rights for verb in right.verbs}


def test_submitting_needs_what_the_role_submitter_grants():
    assert asked(SUBMITTER) == granted("touge.submitterRules")


def test_running_needs_what_the_role_runner_grants_besides():
    assert asked(RUNNER) == granted("touge.runnerRules")
