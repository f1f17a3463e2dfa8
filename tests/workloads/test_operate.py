"""`operate` on this machine: real processes, a real store, HTTP; stages that only pretend to work."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import time

import pytest
from laptop import PATIENCE_S, PROGRAM, Laptop
from s3_server import ACCESS_KEY, SECRET_KEY, Fault, S3Server, serving

pytestmark = pytest.mark.slow


class Operator:
    """An `operate` at work in a laptop's folder."""

    def __init__(self, laptop: Laptop) -> None:
        self.log = laptop.folder / "operator.log"
        with self.log.open("ab") as log:
            command = [*PROGRAM, "operate", "--port", "0"]
            self.process = subprocess.Popen(command, cwd=laptop.folder, env=laptop.environ, stderr=log)
        self.port = self.said("port")

    def said(self, key: str) -> int:
        """Wait for a log line that has a key, and return its value."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for line in self.log.read_text().splitlines():
                if key in (words := json.loads(line)):
                    return words[key]
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        raise AssertionError(f"{key} never said: {self.log.read_text()}")

    def page(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def wait_for(self, path: str, text: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while text not in (found := self.page(path)[1]):
            assert time.monotonic() < deadline, found
            time.sleep(0.05)

    def end(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def laptop(tmp_path):
    laptop = Laptop(tmp_path)
    yield laptop
    laptop.end()


@pytest.fixture
def operate(laptop):
    started = []

    def start():
        started.append(Operator(laptop))
        return started[-1]

    yield start
    for operator in started:
        operator.process.kill()
        operator.process.wait(PATIENCE_S)


def left_alone(laptop: Laptop) -> None:
    """Make a run whose own controller dies at once, while its first stage waits for a word."""
    laptop.script("curate-map", "hang")
    submit = laptop.begin("submit", "recipe.yaml")
    laptop.wait_for_log("waiting", times=2)
    submit.kill()
    submit.communicate()
    laptop.script("curate-map", "hang ok")


def end_stages(laptop: Laptop) -> None:
    """Ask the waiting stages to stop; they end as interrupted and are tried again."""
    for path in laptop.folder.glob(".touge/runs/*/executions/*/stage.json"):
        subprocess.run(["kill", str(json.loads(path.read_text())["pid"])], check=False)


def test_a_run_that_was_left_is_seen_through(laptop, operate):
    left_alone(laptop)
    alone = laptop.status()["attended"]
    operator = operate()
    attended = laptop.status()["attended"]

    end_stages(laptop)

    assert laptop.wait_until_over()["state"] == "Succeeded"
    assert (alone, attended) == (False, True)
    operator.wait_for("/metrics", 'touge_runs{state="Succeeded"} 1.0')


def test_its_pages_say_that_it_is_alive_and_ready(operate):
    operator = operate()
    operator.wait_for("/readyz", "ok")

    assert operator.page("/healthz") == (200, "ok\n")
    assert "touge_reconcile_seconds_bucket" in operator.page("/metrics")[1]


def test_sigterm_ends_it_cleanly_and_the_stages_go_on(laptop, operate):
    left_alone(laptop)
    operator = operate()
    operator.wait_for("/metrics", 'touge_runs{state="Running"} 1.0')

    assert operator.end() == 0

    assert laptop.status()["state"] == "Running"
    assert "Traceback" not in operator.log.read_text()


def test_killing_it_costs_nothing_and_the_next_one_goes_on(laptop, operate):
    left_alone(laptop)
    operator = operate()
    operator.wait_for("/metrics", 'touge_runs{state="Running"} 1.0')
    operator.process.kill()
    operator.process.wait(PATIENCE_S)
    end_stages(laptop)

    operate()

    assert laptop.wait_until_over()["state"] == "Succeeded"
    assert laptop.attempts() == {"curate-map": 2, "curate": 1, "train": 1, "evaluate-map": 1, "evaluate": 1}


def test_two_of_them_and_a_command_line_run_each_stage_once(laptop, operate):
    operate()
    operate()

    laptop.run("submit", "recipe.yaml", "--wait", check=0)

    assert set(laptop.attempts().values()) == {1}


def test_a_store_that_is_gone_for_a_while_is_ridden_out(laptop, operate):
    with serving() as server:
        laptop.environ |= variables(server)
        laptop.run("submit", "recipe.yaml", "--timeout", "0.1", check=41)
        for method in ("GET", "HEAD", "PUT"):
            server.fail(Fault(method, "", 0, times=10**9))
        operator = operate()
        operator.wait_for("/metrics", 'touge_reconcile_errors_total{kind="InfrastructureError"} 3.0')
        healthy = operator.page("/healthz")[0]
        server.mend()

        operator.wait_for("/metrics", 'touge_runs{state="Succeeded"} 1.0')
        assert healthy == 200
        assert SECRET_KEY not in operator.log.read_text()


def variables(server: S3Server) -> dict[str, str]:
    """Return what a process needs to know of the server; it gives up a request at once."""
    return {
        "TOUGE_STORE": server.new_store().uri,
        "TOUGE_S3_ENDPOINT": server.settings.endpoint,
        "TOUGE_S3_PATH_STYLE": "true",
        "TOUGE_S3_REGION": "us-east-1",
        "TOUGE_S3_ATTEMPTS": "1",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    }


def test_submit_leaves_the_run_to_it_and_a_damaged_record_does_not_stop_it(laptop, operate):
    folder = laptop.folder / ".touge/runs/broken-1"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text("{}")
    operate()

    said = laptop.run("submit", "recipe.yaml", check=0).stdout

    assert "`operate` on" in said
    assert laptop.wait_until_over()["state"] == "Succeeded"


def test_a_port_in_use_ends_it_with_10_and_what_to_do(laptop, operate):
    port = str(operate().port)

    assert "--port takes another" in laptop.run("operate", "--port", port, check=10).stderr
