"""The pages over real HTTP."""

import http.client
import socket

import pytest

from controller.operate.serving import PLAIN, serving
from touge.contract.errors import SettingsError


def asked(port, path, host="127.0.0.1", method="GET"):
    connection = http.client.HTTPConnection(host, port, timeout=10)
    connection.request(method, path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


PAGES = {"/a": lambda: (200, PLAIN, b"yes\n"), "/b": lambda: (503, PLAIN, b"no\n")}


def test_pages_answer_with_their_status():
    with serving(PAGES, "127.0.0.1", 0) as port:
        assert (200, "yes\n") == asked(port, "/a?verbose=1")
        assert (503, "no\n") == asked(port, "/b")


def test_an_unknown_page_names_those_that_are():
    with serving(PAGES, "127.0.0.1", 0) as port:
        assert (404, "known: /a /b\n") == asked(port, "/admin")


def test_nothing_can_be_written():
    with serving(PAGES, "127.0.0.1", 0) as port:
        assert 501 == asked(port, "/a", method="POST")[0]


def test_every_address_includes_ipv4():
    with serving(PAGES, "", 0) as port:
        assert 200 == asked(port, "/a")[0]


def test_a_client_that_says_nothing_does_not_keep_others_waiting():
    with serving(PAGES, "127.0.0.1", 0) as port, socket.create_connection(("127.0.0.1", port)):
        assert 200 == asked(port, "/a")[0]


def test_a_port_in_use_is_a_message_with_the_way_out():
    with serving(PAGES, "127.0.0.1", 0) as port, pytest.raises(SettingsError, match="--port takes another"):
        serving(PAGES, "127.0.0.1", port).__enter__()
