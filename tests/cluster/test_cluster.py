"""What the test cluster itself promises: it is a real one, it says what was asked of it, and it leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import binaries
import homes
import psutil
import pytest
from daemons import Daemon, wait_until
from sandbox import Sandbox, kernel_settings
from small_images import SHELL

SUPPORT = Path(__file__).parents[1] / "support"


def shell_pod(namespace, script):
    """Return a pod that runs a script."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {"name": "shell", "image": SHELL, "args": [script], "imagePullPolicy": "Never"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "shell", "namespace": namespace},
        "spec": {
            "restartPolicy": "Never",
            "securityContext": {"runAsUser": 10001, "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container | {"securityContext": security}],
        },
    }


def said(plane, namespace, script):
    """Run a pod to its end, and return its log."""
    plane.create([shell_pod(namespace, script)])
    ended = "--for=jsonpath={.status.phase}=Succeeded"
    plane.kubectl("wait", "pod/shell", "--namespace", namespace, ended, "--timeout=60s")
    return plane.kubectl("logs", "shell", "--namespace", namespace)


def test_a_pod_really_runs_as_the_user_that_it_names(plane, namespace):
    assert said(plane, namespace, "id -u; cat /proc/1/status | head -1").split() == ["10001", "Name:", "sh"]


def test_a_pod_reaches_the_api_server_under_its_service_address(plane, namespace):
    answer = said(plane, namespace, "wget -O - http://10.0.0.1:443/ 2>&1; true")

    assert "400 Bad Request" in answer  # it speaks TLS only, which the shell's tools do not


def test_the_server_is_of_the_version_that_is_pinned(plane):
    assert f'"gitVersion": "{binaries.kubernetes_version()}"' in plane.kubectl("get", "--raw", "/version")


def test_who_has_no_role_is_refused_and_the_audit_log_says_so(plane, namespace):
    kubectl = str(binaries.folder() / "kubectl")
    nobody = str(plane.kubeconfig_of("nobody"))
    done = plane.run(kubectl, "get", "pods", "--namespace", namespace, KUBECONFIG=nobody)
    asked = [
        event for event in plane.audited() if event.get("user", {}).get("username") == "nobody" and "objectRef" in event
    ]

    assert "forbidden" in done.stderr
    assert [(event["verb"], event["objectRef"]["resource"], event["responseStatus"]["code"]) for event in asked] == [
        ("list", "pods", 403)
    ]


def test_an_api_server_that_was_killed_comes_back_with_what_it_held(plane, namespace):
    plane.kubectl("create", "configmap", "kept", "--namespace", namespace)
    plane.kill_apiserver()
    assert plane.run(str(binaries.folder() / "kubectl"), "get", "namespaces").returncode != 0
    plane.restart_apiserver()

    assert plane.get("configmap", "kept", "--namespace", namespace)["metadata"]["name"] == "kept"


def test_the_machines_kernel_is_not_touched(kernel_before, plane):
    assert kernel_settings() == kernel_before


_OWNER = """
import sys, time
sys.path[:0] = {paths!r}
from cluster import running
with running() as cluster:
    cluster.plane.create([{pod!r}])
    cluster.plane.kubectl("wait", "pod/shell", "--for=condition=Ready", "--timeout=60s")
    print(cluster.plane.home, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def owner():
    """Return a process that runs a cluster of its own with a pod, and that cluster's home."""
    script = _OWNER.format(paths=[str(SUPPORT)], pod=shell_pod("default", "sleep 600"))
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    yield process, Path(process.stdout.readline().strip())
    process.kill()
    process.communicate()


def inside(home):
    """Return every process of this machine whose command names a cluster's home: servers, shims, and pods by theirs."""
    found = subprocess.run(["pgrep", "--full", str(home)], capture_output=True, text=True, check=False).stdout.split()
    return [pid for pid in found if int(pid) != os.getpid()]


def test_a_cluster_whose_owner_is_killed_leaves_no_process_and_the_next_start_removes_its_files(owner):
    process, home = owner
    assert inside(home)
    groups = homes.control_groups(home)
    assert groups
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not inside(home), "its processes are gone", seconds=10, told=lambda: str(inside(home)))
    homes.clear_the_dead()

    assert not home.exists()
    assert [group for group in groups if group.exists()] == []


def test_files_of_a_cluster_that_runs_are_left_alone(plane):
    homes.clear_the_dead()

    assert (plane.home / "audit.jsonl").exists()


def test_a_server_that_was_frozen_does_not_hold_up_the_end_of_its_sandbox(tmp_path):
    with Sandbox() as sandbox:
        daemon = Daemon(["/bin/sleep", "600"], tmp_path / "log", within=sandbox.within, environ=os.environ)
        daemon.start()
        entering = psutil.Process(daemon.pid).parent()
        daemon.freeze()
        wait_until(lambda: entering.status() == psutil.STATUS_STOPPED, "what entered the namespaces has stopped, too")
        daemon.thaw()

    daemon.kill()
    assert not daemon.running
