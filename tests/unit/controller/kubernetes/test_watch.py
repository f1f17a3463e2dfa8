"""Which runs changed: the list, the watch, and what is done when the server has forgotten or hangs up."""

from __future__ import annotations

import itertools
import threading

import pytest
from eventually import eventually
from scripted_api import Answer, items, status

from controller.runners.kubernetes.watch import changes
from touge.contract.errors import SettingsError


def thing(run, version="1", **labels):
    return {"metadata": {"name": "n", "resourceVersion": version, "labels": {"touge/run": run, **labels}}}


def record(run, *, over):
    return thing(run, **{"touge/record": "run", "touge/over": str(over).lower()})


class Script:
    """Lists and watches by kind; a watch without a script is quiet until the test is over."""

    def __init__(self, api) -> None:
        self.lists: dict[str, list] = {}
        self.watches: dict[str, list] = {}
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.api = api
        api.script = self.answer

    def answer(self, call) -> Answer:
        kind = call.path.rpartition("/")[2]
        if "watch" not in call.query:
            return self._next(self.lists, kind) or items(version="5")
        return self._next(self.watches, kind) or Answer(events=self._quiet())

    def _next(self, answers, kind):
        with self.lock:
            return answers[kind].pop(0) if answers.get(kind) else None

    def _quiet(self):
        self.over.wait(20)
        yield from ()

    def asked(self, kind, *, watch):
        return [c for c in self.api.calls if c.path.endswith(kind) and ("watch" in c.query) is watch]


@pytest.fixture
def script(api):
    script = Script(api)
    yield script
    script.over.set()


def take(script, cluster, count):
    """Return the first ids; the watchers end with it."""
    found = changes(cluster, script.over.is_set)
    taken = [next(found) for _ in range(count)]
    script.over.set()
    return taken


def test_runs_that_go_on_come_first_and_those_that_are_over_where_something_of_them_is_left(script, cluster):
    script.lists["configmaps"] = [items(record("a", over=False), record("b", over=True), record("c", over=True))]
    script.lists["pods"] = [items(thing("b"))]
    script.watches["jobs"] = [Answer(events=[{"type": "ADDED", "object": thing("last")}])]

    assert sorted(take(script, cluster, 3)) == ["a", "b", "last"]


@pytest.mark.parametrize("kind", ["jobs", "pods", "configmaps"])
@pytest.mark.parametrize("event", ["ADDED", "MODIFIED", "DELETED"])
def test_a_change_of_any_of_its_objects_is_a_runs(script, cluster, kind, event):
    script.watches[kind] = [Answer(events=[{"type": event, "object": thing("a")}])]

    assert take(script, cluster, 1) == ["a"]


def test_a_watch_begins_where_its_list_ended_and_goes_on_where_it_ended(script, cluster):
    script.lists["pods"] = [items(version="40")]
    script.watches["pods"] = [
        Answer(events=[{"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "50"}}}]),
        Answer(events=[{"type": "ADDED", "object": thing("a", "51")}]),
    ]

    take(script, cluster, 1)

    assert [call.query["resourceVersion"] for call in script.asked("pods", watch=True)][:2] == ["40", "50"]
    assert len(script.asked("pods", watch=False)) == 1


def test_watches_do_not_all_end_at_once(script, cluster):
    script.watches["pods"] = [Answer(events=[]) for _ in range(30)] + [
        Answer(events=[{"type": "ADDED", "object": thing("a")}])
    ]

    take(script, cluster, 1)

    seconds = {int(call.query["timeoutSeconds"]) for call in script.asked("pods", watch=True)}
    assert len(seconds) > 5
    assert min(seconds) >= 240
    assert max(seconds) <= 300


@pytest.mark.parametrize(
    "gone", [status(410, "Expired"), Answer(events=[{"type": "ERROR", "object": status(410).document}])]
)
def test_a_version_that_is_too_old_lists_again(script, cluster, gone):
    script.lists["jobs"] = [items(version="1"), items(thing("a"), version="9")]
    script.watches["jobs"] = [gone]

    assert take(script, cluster, 1) == ["a"]


def test_a_connection_that_breaks_is_taken_up_where_it_was(script, cluster):
    script.lists["jobs"] = [items(version="3")]
    script.watches["jobs"] = [
        Answer(events=[{"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "4"}}}], breaks=True),
        Answer(events=[{"type": "ADDED", "object": thing("a", "5")}]),
    ]

    assert take(script, cluster, 1) == ["a"]
    assert [call.query["resourceVersion"] for call in script.asked("jobs", watch=True)][:2] == ["3", "4"]


def test_many_changes_of_a_run_are_one_look(script, cluster):
    events = [{"type": "MODIFIED", "object": thing("a", str(n))} for n in range(200)]
    script.watches["pods"] = [Answer(events=[*events, {"type": "ADDED", "object": thing("b")}])]
    seen = changes(cluster, script.over.is_set)
    first = next(seen)
    eventually(lambda: len(script.asked("pods", watch=True)) > 1)

    assert first == "a"
    assert list(itertools.takewhile(lambda run: run != "b", seen)) in ([], ["a"])


def test_a_watch_that_is_not_allowed_ends_with_what_to_ask_for(script, cluster):
    script.lists["pods"] = [status(403, "Forbidden", "pods is forbidden")]

    with pytest.raises(SettingsError, match="role submitter"):
        take(script, cluster, 1)


def test_a_watch_that_was_allowed_is_tried_again_where_the_server_comes_up_without_its_roles(script, cluster):
    script.watches["pods"] = [status(403, "Forbidden"), Answer(events=[{"type": "ADDED", "object": thing("a")}])]

    assert take(script, cluster, 1) == ["a"]
