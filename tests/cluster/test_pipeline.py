"""The whole pipeline, tiny, in pods of the built images: the report of a laptop."""

from __future__ import annotations

import pytest
from checkout_pods import VALUES
from helm import setting
from installs import install
from pipeline_place import PATIENCE_S, STEPS, measured, on_a_laptop, place_on

from touge.contract.exit_codes import ExitCode

#: The images are built where they are not there.
pytestmark = pytest.mark.timeout(5400)


@pytest.fixture(scope="module")
def place(plane, node, with_images, inputs, tmp_path_factory):
    with_images("curate", "train", "evaluate")
    namespace = plane.restricted_namespace()
    with place_on(plane, node, namespace, inputs, tmp_path_factory.mktemp("cluster"), install) as place:
        yield place
    plane.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="module")
def laptop(inputs, tmp_path_factory):
    return on_a_laptop(inputs, tmp_path_factory.mktemp("laptop"))


def test_pods_of_the_images_report_what_the_laptop_reports(place, laptop):
    done = place.desk.submit("--wait", "--set", STEPS)

    assert done.code == ExitCode.GATE_FAILED, done.said
    assert measured(place.report()) == measured(laptop)


def test_a_training_goes_on_as_it_was_submitted_where_the_chart_is_upgraded_meanwhile(place, laptop):
    submit = place.disturbed(lambda _: place.upgrade(VALUES | {"commonLabels": {"team": "perception"}}))
    out, err = submit.communicate(timeout=PATIENCE_S)

    assert submit.returncode == ExitCode.GATE_FAILED, out + err
    assert measured(place.report()) == measured(laptop)


def test_submitting_again_from_anywhere_attaches(place):
    done = place.desk.submit("--wait", "--set", STEPS)

    assert done.code == ExitCode.GATE_FAILED, done.said
    assert "attached" in done.err


def test_an_image_that_is_not_there_is_what_a_run_waits_for(place):
    place.upgrade(setting("images.train.tag", "0.1.0-nowhere", base=VALUES))

    done = place.desk.submit("--wait", "--timeout", "40", "--set", "train.steps=3")
    train = place.stage("train")
    place.desk.cancel()

    assert done.code == ExitCode.WAIT_TIMEOUT, done.said
    assert train["state"] == "Pulling"
    assert "touge/train:0.1.0-nowhere" in train["message"]
