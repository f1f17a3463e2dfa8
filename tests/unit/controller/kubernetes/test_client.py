"""The client's patience and its words, against a server that is busy, restarting, strict or gone."""

from __future__ import annotations

import time

import pytest
from scripted_api import Answer, items, status

from controller.runners.kubernetes.client import CONFIG_MAPS, JOBS, NODES, PODS
from controller.runners.kubernetes.refusals import Expired, NotAllowed, QuotaExceeded, Rejected
from touge.contract.errors import AlreadyExists, Conflict, InfrastructureError, ObjectNotFound, SettingsError

BENT = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bend", "resourceVersion": "7"}}


def test_objects_lie_in_the_contexts_namespace(api, cluster):
    api.answers(Answer(document=BENT))

    assert cluster.get(CONFIG_MAPS, "bend") == BENT
    assert api.calls[0].path == "/api/v1/namespaces/roads/configmaps/bend"


def test_a_given_namespace_goes_before_the_contexts(api, monkeypatch):
    api.cluster(monkeypatch, namespace="bends").list(JOBS)

    assert api.calls[0].path == "/apis/batch/v1/namespaces/bends/jobs"


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again_with_growing_pauses(api, cluster, code):
    api.answers(status(code), status(code), status(code), Answer(document=BENT))

    assert cluster.get(CONFIG_MAPS, "bend") == BENT
    assert api.slept == sorted(api.slept)
    assert len(set(api.slept)) == 3


def test_a_server_that_says_how_long_to_wait_is_believed_up_to_a_limit(api, cluster):
    api.answers(status(429, retry_after=3), status(429, retry_after=3600), Answer(document=BENT))

    cluster.get(CONFIG_MAPS, "bend")

    assert api.slept == [3.5, 10.0]


def test_a_connection_that_is_reset_is_opened_again(api, cluster):
    api.answers(Answer(breaks=True), Answer(document=BENT))

    assert cluster.get(CONFIG_MAPS, "bend") == BENT


def test_a_server_that_stays_silent_is_given_up_with_its_address(api, cluster):
    api.answers(Answer(breaks=True))

    with pytest.raises(InfrastructureError, match=rf"could not get configmaps bend.*{api.server} does not answer"):
        cluster.get(CONFIG_MAPS, "bend")
    assert len(api.calls) == 6


def test_a_token_that_expired_is_read_anew_once(api, cluster):
    api.write_kubeconfig("second")
    api.script = lambda call: (
        Answer(document=BENT) if call.headers["authorization"] == "Bearer second" else status(401, "Unauthorized")
    )

    assert cluster.get(CONFIG_MAPS, "bend") == BENT
    assert api.tokens == ["Bearer first", "Bearer second"]


def test_a_token_that_stays_expired_is_a_persons_to_mend(api, cluster):
    api.answers(status(401, "Unauthorized", "Unauthorized"))

    with pytest.raises(SettingsError, match=r"expired.*kubectl auth whoami"):
        cluster.get(CONFIG_MAPS, "bend")
    assert len(api.calls) == 2


@pytest.mark.parametrize(("answer", "error", "said"), [
    (status(403, "Forbidden", "jobs is forbidden"), NotAllowed, "create jobs in namespace roads.*role runner"),
    (status(403, "Forbidden", "exceeded quota: gpus, used: 8"), QuotaExceeded, "exceeded quota: gpus"),
    (status(400, "BadRequest", 'admission webhook "p.example" denied the request: no team'), Rejected, "no team"),
    (status(403, "Forbidden", 'pods "x" violates PodSecurity "restricted"'), Rejected, "violates PodSecurity"),
    (status(422, "Invalid", "spec.template: field is wrong"), Rejected, "field is wrong.*plan --render"),
    (status(404, "NotFound", "namespaces not found", details={"kind": "namespaces"}), SettingsError, "no namespace"),
    (status(409, "AlreadyExists", "there"), AlreadyExists, "there"),
    (Answer(413, "<html>too large</html>"), Rejected, "too large"),
])  # fmt: skip
def test_what_a_person_must_mend_is_asked_once_and_named(api, cluster, answer, error, said):
    api.answers(answer)

    with pytest.raises(error, match=said):
        cluster.create(JOBS, {})
    assert len(api.calls) == 1


def test_who_may_not_read_nodes_is_told_the_charts_value(api, cluster):
    api.answers(status(403, "Forbidden"))

    with pytest.raises(NotAllowed, match=r"list nodes:.*rbac\.readNodes"):
        cluster.list(NODES)


def test_a_change_names_the_version_that_it_is_of(api, cluster):
    api.answers(status(409, "Conflict"))

    with pytest.raises(Conflict):
        cluster.replace(CONFIG_MAPS, BENT)
    assert (api.calls[0].method, api.calls[0].body["metadata"]["resourceVersion"]) == ("PUT", "7")


def test_what_is_not_there_is_not_found(api, cluster):
    api.answers(status(404, "NotFound", details={"kind": "configmaps"}))

    with pytest.raises(ObjectNotFound):
        cluster.get(CONFIG_MAPS, "bend")


def test_deleting_what_is_gone_is_fine_and_dependents_go_as_asked(api, cluster):
    api.answers(status(404, "NotFound"))

    cluster.delete(JOBS, "bend", propagation="Foreground", uid="u")

    assert api.calls[0].body == {"propagationPolicy": "Foreground", "preconditions": {"uid": "u"}}


def test_a_list_is_read_page_by_page(api, cluster):
    api.answers(items(1, 2, version="5", **{"continue": "more"}), items(3, version="5"))

    assert cluster.list(PODS, "a=b").items == (1, 2, 3)
    assert [call.query.get("continue") for call in api.calls] == [None, "more"]
    assert {call.query["labelSelector"] for call in api.calls} == {"a=b"}


def test_a_list_whose_rest_has_expired_is_read_again_whole(api, cluster):
    api.answers(items(1, **{"continue": "more"}), status(410, "Expired"), items(1, 2, version="9"))

    assert cluster.list(PODS).version == "9"
    assert "limit" not in api.calls[-1].query


def test_metadata_alone_is_asked_for_where_that_is_enough(api, cluster):
    cluster.list(CONFIG_MAPS, metadata=True)

    assert "as=PartialObjectMetadataList" in api.calls[0].headers["accept"]


def test_a_log_comes_line_by_line(api, cluster):
    api.answers(Answer(document="t1 a\nt2 b\n"))

    assert list(cluster.log("pod", "stage", tail=2)) == ["t1 a", "t2 b"]
    assert api.calls[0].query == {"container": "stage", "timestamps": "true", "tailLines": "2"}


def watch(cluster):
    return cluster.watch(PODS, "5", "touge/run", seconds=240, quiet_s=5)


def test_a_watch_goes_on_from_a_version_with_bookmarks(api, cluster):
    api.answers(Answer(events=[{"type": "BOOKMARK", "object": {}}, {"type": "ADDED", "object": {}}]))

    assert [event["type"] for event in watch(cluster)] == ["BOOKMARK", "ADDED"]
    asked = api.calls[0].query
    assert (asked["resourceVersion"], asked["allowWatchBookmarks"], asked["timeoutSeconds"]) == ("5", "true", "240")


@pytest.mark.parametrize(
    "answer", [status(410, "Expired"), Answer(events=[{"type": "ERROR", "object": status(410, "Expired").document}])]
)
def test_a_version_that_is_too_old_is_said_however_the_server_says_it(api, cluster, answer):
    api.answers(answer)

    with pytest.raises(Expired):
        list(watch(cluster))


def test_a_watch_whose_connection_breaks_says_so(api, cluster):
    api.answers(Answer(events=[{"type": "ADDED", "object": {}}], breaks=True))

    with pytest.raises(InfrastructureError, match="the connection broke"):
        list(watch(cluster))


def test_half_an_event_is_a_connection_that_broke(api, cluster):
    api.answers(Answer(document='{"type": "ADDED", "obj'))

    with pytest.raises(InfrastructureError, match="the connection broke within an event"):
        list(watch(cluster))


def test_a_silent_watch_ends_by_itself(api, cluster):
    def silence():
        time.sleep(2)
        yield {}

    api.answers(Answer(events=silence()))

    with pytest.raises(InfrastructureError, match="the connection broke"):
        list(cluster.watch(PODS, "5", "", seconds=240, quiet_s=0.2))


def test_an_api_that_the_cluster_does_not_have_has_no_version(api, cluster):
    api.answers(status(404, "NotFound"))

    assert cluster.serves("kueue.x-k8s.io") is None


def test_a_context_that_is_not_there_is_named_with_those_that_are(api, monkeypatch):
    with pytest.raises(SettingsError, match=r"no context 'there'.*it has here"):
        api.cluster(monkeypatch, context="there")


def test_without_any_kubeconfig_a_person_is_told_what_to_set(api, monkeypatch, tmp_path):
    api.kubeconfig = tmp_path / "none"

    with pytest.raises(SettingsError, match=r"no Kubernetes cluster is known here.*KUBECONFIG"):
        api.cluster(monkeypatch)


def test_a_kubeconfig_that_cannot_be_read_is_named(api, monkeypatch):
    api.kubeconfig.write_text("clusters: 3")

    with pytest.raises(SettingsError, match=r"kubeconfig.*kubectl config view"):
        api.cluster(monkeypatch)
