"""A node that is lost for good during a training: seen, told with its remedy, replaced where that is allowed."""

from __future__ import annotations

import re

import pytest
from cluster_person import person_on
from eventually import eventually


@pytest.fixture(scope="module")
def person(plane, open_namespace, tmp_path_factory):
    with person_on(plane, open_namespace, tmp_path_factory.mktemp("person")) as person:
        yield person


@pytest.fixture
def lost(person, node):
    """Return a function that submits, and loses the node under the training; the node comes back at the end."""

    def lose(*words: str, **variables: str):
        person.tell(verdict=True, train="hang")
        submit = person.begin("submit", "recipe.yaml", "--wait", *words, **variables)
        assert eventually(lambda: person.stage("train")["state"] == "Running", 120), submit.poll()
        node.lose()
        (pod,) = person.get("pods", "train")
        person.kubectl("delete", "pod", pod["metadata"]["name"], "--grace-period=1", "--wait=false")
        person.tell(verdict=True)
        return submit

    yield lose
    if not node.joined:
        node.rejoin()


def test_a_lost_node_is_named_with_its_remedy_and_the_remedy_helps(person, node, lost):
    submit = lost()

    told = eventually(
        lambda: (m := person.stage("train")["message"]).startswith("node real does not answer") and m, 150
    )
    (job,) = person.get("jobs", "train")
    assert job["status"]["terminating"] == 1
    person.kubectl(*re.search(r"`kubectl (delete node \S+)`", told)[1].split())
    node.rejoin()
    out, err = submit.communicate(timeout=200)

    assert submit.returncode == 0, out + err
    assert person.stage("train")["attempts"] == 1, "the Job itself makes another pod"


def test_work_on_a_lost_node_is_begun_anew_after_a_while_where_the_operator_allows_it(person, node, lost):
    submit = lost("--set", "train.steps=5", TOUGE_REPLACE_LOST_S="5")

    assert eventually(lambda: person.stage("train")["attempts"] == 2, 150)
    old, new = person.get("pods", "train")
    node.rejoin()
    out, err = submit.communicate(timeout=200)

    assert "deletionTimestamp" in old["metadata"], "it may still run; nobody knows"
    assert new["metadata"]["labels"]["touge/attempt"] == "2"
    assert submit.returncode == 0, out + err
