"""One request, and what becomes of the connection that it goes over."""

from __future__ import annotations

import json
import socket
import threading

import pytest

from controller.runners.kubernetes.connection import Request, Unanswered, connect


@pytest.fixture
def hanging_up():
    """Return the address of a server that ends each connection in the midst of TLS's greeting."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def test_a_server_that_dies_while_it_greets_has_not_answered(hanging_up, tmp_path, monkeypatch):
    document = {
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": hanging_up, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(document))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))

    with pytest.raises(Unanswered, match="SSLError"):
        connect().send(Request("GET", "/version"))
