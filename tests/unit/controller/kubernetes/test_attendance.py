"""Who is known to work on a run: a command line that stays with it says so on its record, as long as it lives."""

from __future__ import annotations

from contextlib import closing

import pytest
from eventually import eventually
from object_api import Objects
from scripted_api import Answer, status

from controller.runners.kubernetes.attendance import ClusterAttendance

RUN = "bend-0123456789"
RECORD = f"/api/v1/namespaces/roads/configmaps/{RUN}"
MARK = "touge/attended-until-us"
NOW_US = 1_000_000_000


@pytest.fixture
def objects(api):
    with closing(Objects()) as objects:
        objects.put(RECORD, {"kind": "ConfigMap", "metadata": {"name": RUN}})
        api.script = objects
        yield objects


@pytest.fixture
def attendance(cluster):
    return ClusterAttendance(cluster, None, lambda: NOW_US)


def marked(objects, until_us):
    objects.put(RECORD, {"kind": "ConfigMap", "metadata": {"name": RUN, "annotations": {MARK: str(until_us)}}})


def test_a_run_that_a_command_line_stays_with_is_attended_until_it_leaves(objects, attendance):
    before = attendance.attended(RUN)
    with attendance.attending(RUN):
        during = eventually(lambda: attendance.attended(RUN))

    assert (before, during, attendance.attended(RUN)) == (False, True, False)


@pytest.mark.parametrize(("until_us", "attended"), [(NOW_US + 1, True), (NOW_US, False)])
def test_who_died_is_forgotten_when_its_mark_runs_out(objects, attendance, until_us, attended):
    marked(objects, until_us)

    assert attendance.attended(RUN) is attended


def test_who_leaves_does_not_take_away_the_mark_of_another(objects, attendance):
    with attendance.attending(RUN):
        eventually(lambda: attendance.attended(RUN))
        marked(objects, NOW_US + 1)

    assert attendance.attended(RUN)


def test_a_controller_of_all_runs_marks_none(objects, attendance, api):
    with attendance.attending():
        pass

    assert api.calls == []


def test_a_server_that_refuses_the_mark_keeps_nobody_from_work(objects, attendance, api):
    api.script = lambda call: status(403, "Forbidden") if call.method == "PATCH" else objects(call)

    with attendance.attending(RUN):
        assert eventually(lambda: any(call.method == "PATCH" for call in api.calls))

    assert not attendance.attended(RUN)


def test_a_run_without_a_record_is_attended_by_nobody(api, attendance):
    api.script = lambda call: status(404, "NotFound") if call.path == RECORD else Answer(document={"metadata": {}})

    assert not attendance.attended(RUN)
