"""`operate` on Kubernetes as a real process: an API server on loopback that keeps objects and runs nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
import scripted_api
from eventually import PATIENCE_S, eventually
from object_api import at_a_laptop, chart_installed
from operator_pages import page

from controller.cli.app import main

JOBS = "/apis/batch/v1/namespaces/roads/jobs/"


@pytest.fixture
def objects():
    with chart_installed() as objects:
        yield objects


@pytest.fixture
def api(objects, tmp_path, monkeypatch):
    with at_a_laptop(tmp_path, objects, monkeypatch) as api:
        yield api


@pytest.fixture
def operate(api, tmp_path):
    """Start it with a store; return its process and its port."""
    started = []

    def start():
        log = tmp_path / "operator.log"
        with log.open("wb") as stream:
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", "controller", "operate", "--port", "0", "--host", "127.0.0.1"],
                    env=dict(os.environ) | {"TOUGE_STORE": f"file://{tmp_path}/store"},
                    stderr=stream,
                )
            )
        assert eventually(lambda: "port" in log.read_text() or started[-1].poll() is not None)
        return started[-1], json.loads(log.read_text().splitlines()[0])["port"]

    yield start
    for process in started:
        process.kill()
        process.wait(PATIENCE_S)


def jobs(objects):
    return [path for path in list(objects.known) if path.startswith(JOBS)]


def test_a_run_that_was_submitted_with_the_api_server_alone_is_set_to_work(objects, operate, capsys):
    main(["submit", "recipe.yaml", "--detach"])

    process, port = operate()

    assert eventually(lambda: jobs(objects))
    assert page(port, "/readyz") == (200, "ok\n")
    assert 'touge_runs{state="Queued"} 1.0' in page(port, "/metrics")[1]
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    assert len(jobs(objects)) == 1


def test_an_api_server_that_is_gone_for_a_while_is_ridden_out(api, objects, operate, capsys):
    main(["submit", "recipe.yaml", "--detach"])
    api.script = lambda _call: scripted_api.status(401, "Unauthorized", "who are you")
    process, port = operate()
    assert eventually(lambda: "touge_reconcile_errors_total{" in page(port, "/metrics")[1])
    unready, healthy = page(port, "/readyz")[0], page(port, "/healthz")[0]

    api.script = objects

    assert eventually(lambda: jobs(objects))
    assert (unready, healthy, process.poll()) == (503, 200, None)
