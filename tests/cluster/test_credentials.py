"""Tokens that end while a controller works: it reads its credentials again, and goes on with the new ones."""

from __future__ import annotations

import time

import binaries
import pytest
from checkout_pods import token_kubeconfig
from cluster_person import person_on
from eventually import eventually

ACCOUNT = "ci"


class Tokens:
    """Tokens of one service account, each bound to a Secret: without it the API server does not know the token."""

    def __init__(self, person) -> None:
        self.person = person
        self.file = person.folder / "token"
        person.kubectl("create", "serviceaccount", ACCOUNT)
        subject = f"--serviceaccount={person.namespace}:{ACCOUNT}"
        person.kubectl("create", "rolebinding", ACCOUNT, "--role=touge-runner", subject)
        self.kubeconfig = token_kubeconfig(person.plane, person.folder / "kubeconfig", tokenFile=str(self.file))

    def issue(self, name: str) -> str:
        """Make a token, write it where it is read, and return it."""
        self.person.kubectl("create", "secret", "generic", name)
        bound = (f"--bound-object-name={name}", "--bound-object-kind=Secret")
        token = self.person.kubectl("create", "token", ACCOUNT, *bound).strip()
        self.file.write_text(token)
        return token

    def revoke(self, name: str, token: str) -> None:
        """Take a token's Secret away, and wait until the API server does not know it any more."""
        self.person.kubectl("delete", "secret", name)
        plane, words = self.person.plane, (str(binaries.folder() / "kubectl"), "auth", "whoami")
        old = str(token_kubeconfig(plane, self.person.folder / "old", token=token))
        assert eventually(lambda: plane.run(*words, KUBECONFIG=old).returncode != 0), "the old token is still known"


@pytest.fixture(scope="module")
def person(plane, open_namespace, tmp_path_factory):
    with person_on(plane, open_namespace, tmp_path_factory.mktemp("person")) as person:
        yield person


@pytest.fixture(scope="module")
def tokens(person):
    return Tokens(person)


def test_a_token_that_is_written_anew_before_the_old_one_ends_is_taken_up(person, tokens):
    old = tokens.issue("first")
    person.tell(verdict=True, train="hang")
    submit = person.begin("submit", "recipe.yaml", "--wait", KUBECONFIG=str(tokens.kubeconfig))
    assert eventually(lambda: person.stage("train")["state"] == "Running", 120)

    tokens.issue("second")
    tokens.revoke("first", old)
    time.sleep(5)
    person.desk.cancel()
    out, err = submit.communicate(timeout=120)

    assert submit.returncode == 40, out + err
    assert "does not know us" not in err


def test_a_new_token_that_comes_late_is_waited_for_and_said_to_be_missing(person, tokens):
    old = tokens.issue("third")
    person.tell(verdict=True, train="hang")
    words = ("submit", "recipe.yaml", "--wait", "--set", "train.steps=5")
    submit = person.begin(*words, KUBECONFIG=str(tokens.kubeconfig))
    assert eventually(lambda: person.stage("train")["state"] == "Running", 120)

    tokens.revoke("third", old)
    time.sleep(8)
    tokens.issue("fourth")
    person.desk.cancel()
    out, err = submit.communicate(timeout=120)

    assert submit.returncode == 40, out + err
    assert "the token or certificate has expired" in err


def test_a_controller_of_all_runs_outlives_its_token(person, tokens):
    old = tokens.issue("fifth")
    person.tell(verdict=True)
    with person.operating(KUBECONFIG=str(tokens.kubeconfig)) as said:
        assert eventually(lambda: said)
        tokens.issue("sixth")
        tokens.revoke("fifth", old)
        person.desk.run("submit", "recipe.yaml", "--detach", "--set", "train.steps=6")
        seen = eventually(lambda: person.desk.status()["state"] == "Succeeded", 120)

    assert seen, "".join(said)
