"""Logs of a run's pods: each line once, in order, waiting for the start and going on across restarts."""

from __future__ import annotations

import pytest
from pod_builders import ended, job, pod, running
from scripted_api import Answer, items, status

from controller.runners.kubernetes.logs import follow_logs
from touge.contract.errors import InfrastructureError

TRAIN = job()


class Script:
    """Rounds of (pods, logs by pod); the log of a pod is what it has said since the time that is asked for."""

    def __init__(self, api, *rounds) -> None:
        self.rounds, self.now = list(rounds), 0
        api.script = self.answer

    def answer(self, call) -> Answer:
        pods, logs = self.rounds[self.now]
        if call.path.endswith("/log"):
            found = logs[call.path.split("/")[-2]]
            if isinstance(found, Answer):
                return found
            since = call.query.get("sinceTime", "")[:19]
            return Answer(document="".join(f"{line}\n" for line in found if line[:19] >= since))
        return items(*pods)

    def told(self, cluster, stage="train") -> list[str]:
        def pause():
            self.now += 1

        return list(follow_logs(cluster, "bend", stage, lambda: self.now < len(self.rounds) - 1, pause=pause))


def said(second: int, text: str, nano: int = 0) -> str:
    return f"2026-01-01T00:00:{second:02}.{nano:09}Z {text}"


def name_of(thing) -> str:
    return thing["metadata"]["name"]


def test_lines_come_without_their_times(api, cluster):
    one = ended(TRAIN, 0)

    assert Script(api, ([one], {name_of(one): [said(1, "a b"), said(2, "c")]})).told(cluster) == ["a b", "c"]


def test_a_pod_that_has_not_begun_is_waited_for(api, cluster):
    waiting, begun = pod(TRAIN), running(TRAIN)
    script = Script(api, ([], {}), ([waiting], {}), ([begun], {name_of(begun): [said(1, "begun")]}))

    assert script.told(cluster) == ["begun"]


def test_every_line_is_told_once_though_whole_seconds_are_asked_for(api, cluster):
    one = running(TRAIN)
    first = [said(1, "a"), said(1, "b", 5), said(1, "b", 5)]
    script = Script(
        api, ([one], {name_of(one): first}), ([one], {name_of(one): [*first, said(1, "b", 5), said(1, "c", 9)]})
    )

    assert script.told(cluster) == ["a", "b", "b", "b", "c"]


def test_a_pod_that_takes_over_goes_on_after_the_one_before(api, cluster):
    first, second = ended(TRAIN, 31, "p1"), running(TRAIN, "p2", born=20)
    script = Script(
        api,
        ([first], {name_of(first): [said(1, "stopping")]}),
        ([second, first], {name_of(first): [said(1, "stopping")], name_of(second): [said(9, "resuming")]}),
    )

    assert script.told(cluster) == ["stopping", "resuming"]


def test_a_connection_that_breaks_loses_and_repeats_nothing(api, cluster):
    one = running(TRAIN)
    script = Script(
        api,
        ([one], {name_of(one): [said(1, "a")]}),
        ([one], {name_of(one): status(500)}),
        ([one], {name_of(one): [said(1, "a"), said(2, "b")]}),
    )

    assert script.told(cluster) == ["a", "b"]


def test_a_log_that_cannot_be_read_at_last_is_not_taken_for_an_empty_one(api, cluster):
    one = ended(TRAIN, 1)

    with pytest.raises(InfrastructureError):
        Script(api, ([one], {name_of(one): status(500)})).told(cluster)


def test_a_log_that_is_finished_is_not_read_again(api, cluster):
    one = ended(TRAIN, 0)
    logs = ([one], {name_of(one): [said(1, "a")]})

    Script(api, logs, logs, logs).told(cluster)

    assert len([call for call in api.calls if call.path.endswith("/log")]) == 1


def test_who_speaks_is_said_where_several_may(api, cluster):
    shards, nodes = job("curate-map", completions=2), job(completions=2)
    pods = [ended(shards, 0, "a", index=1), ended(nodes, 0, "b", index=1, born=5), ended(job("curate"), 0, "c", born=9)]
    script = Script(api, (pods, {name_of(p): [said(1, "word")] for p in pods}))

    assert script.told(cluster, None) == ["curate-map/1 | word", "train, node 1 | word", "curate | word"]
