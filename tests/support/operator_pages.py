"""The pages of `operate`, read as Prometheus and the kubelet do."""

from __future__ import annotations

import http.client


def page(port: int, path: str) -> tuple[int, str]:
    """Return status and text of a page."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()
