"""Waiting for node 0: it comes late, it never comes, or this node is asked to stop."""

from __future__ import annotations

import os
import signal
import socket
import threading

import pytest

from touge.contract.errors import InfrastructureError, Interrupted
from touge.training.meeting import await_node_0


@pytest.fixture
def node_0():
    """Return a loopback server's socket that is bound, but does not listen yet."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        yield server


def endpoint(server):
    return f"127.0.0.1:{server.getsockname()[1]}"


def met(server):
    """Return whether a connection has come in."""
    server.settimeout(1)
    try:
        server.accept()[0].close()
    except TimeoutError:
        return False
    return True


class Dialled:
    """Connects for real and keeps how each attempt ended."""

    def __init__(self):
        self.refused = []

    def __call__(self, address, timeout):
        try:
            connection = socket.create_connection(address, timeout)
        except OSError:
            self.refused.append(True)
            raise
        self.refused.append(False)
        return connection


def test_a_node_that_listens_is_met_at_the_first_attempt(node_0):
    node_0.listen()
    dialled = Dialled()

    await_node_0(endpoint(node_0), patience_s=0, dial=dialled)

    assert dialled.refused == [False]
    assert met(node_0)


def test_a_node_that_comes_late_is_waited_for(node_0):
    dialled = Dialled()
    threading.Timer(0.2, node_0.listen).start()

    await_node_0(endpoint(node_0), patience_s=30, dial=dialled)

    assert dialled.refused[0]
    assert not dialled.refused[-1]
    assert met(node_0)


def test_a_name_that_is_not_known_yet_is_looked_up_again(node_0):
    node_0.listen()
    lookups = []

    def dial(address, timeout):
        lookups.append(address)
        if len(lookups) == 1:
            raise socket.gaierror("Name or service not known")
        return socket.create_connection(("127.0.0.1", node_0.getsockname()[1]), timeout)

    await_node_0("bend-train-1-0.bend-train-1:29500", dial=dial)

    assert lookups == [("bend-train-1-0.bend-train-1", 29500)] * 2


def test_a_node_that_never_comes_is_a_failure_worth_another_try(node_0):
    with pytest.raises(InfrastructureError, match=r"node 0 .* did not answer within 0.1 s .* Check that its pod runs"):
        await_node_0(endpoint(node_0), patience_s=0.1)


def test_a_node_that_is_asked_to_stop_stops_waiting(node_0):
    before = signal.getsignal(signal.SIGTERM)
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()

    with pytest.raises(Interrupted, match="submit again to go on"):
        await_node_0(endpoint(node_0), patience_s=30)

    assert signal.getsignal(signal.SIGTERM) is before
