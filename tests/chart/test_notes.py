"""What an install tells people."""

from __future__ import annotations

import re

import pytest
from helm import CHART, EVERYTHING, ROOT, TRIAL, helm, setting

from controller.cli.app import parse

#: A platform's values without what `helm install` refuses where it sees no cluster.
SETTLED = {key: EVERYTHING[key] for key in ("storage", "retrain", "networkPolicy")}


def notes(values):
    """Return the notes of an install that never happens."""
    done = helm("install", "touge", str(CHART), "-n", "roads", "--dry-run=client", values=values)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("NOTES:\n")[2]


@pytest.fixture(scope="module")
def trial_notes():
    return notes(TRIAL)


def test_they_name_the_templates_and_the_next_commands(trial_notes):
    assert "curate, train-full, train-lora, train-qlora, evaluate" in trial_notes
    assert "helm test touge -n roads" in trial_notes
    assert "TOUGE_NAMESPACE=roads" in trial_notes


def test_the_commands_that_are_there_already_are_understood(trial_notes, monkeypatch):
    monkeypatch.chdir(ROOT)
    commands = [line.split()[3:] for line in trial_notes.splitlines() if line.startswith("  python -m controller ")]

    assert {type(parse(words)).__name__ for words in commands} == {"Doctor", "Submit"}


def test_they_lead_to_the_trials_store(trial_notes):
    assert "kubectl port-forward -n roads service/touge-store 7070" in trial_notes


def test_they_say_how_to_remove_it_and_what_stays(trial_notes):
    assert "helm uninstall touge -n roads" in trial_notes
    assert "python -m controller delete RUN" in trial_notes


def test_they_say_how_retraining_begins_until_it_has_begun(trial_notes):
    assert "kubectl create configmap touge-retrain -n roads --from-file=retrain.yaml=" in trial_notes
    assert "kubectl create configmap" not in notes(SETTLED)


def test_they_name_what_should_be_looked_at(trial_notes):
    found = re.findall(r"^  ! (.*)", trial_notes, re.MULTILINE)

    assert "the embedded store is for trials: controller and stages share one credential, and no copy is kept" in found
    assert any(line.startswith("networkPolicy.enabled is false") for line in found)
    assert any(line.startswith("no images.*.codeDigest of curate, train, evaluate") for line in found)


def test_they_are_silent_where_all_is_well():
    digests = {name: {"codeDigest": "a" * 64} for name in ("curate", "train", "evaluate")}

    assert "To be looked at" not in notes(setting("images", digests, SETTLED))
