"""Cluster DNS of a test cluster: names of pods behind headless Services, as their EndpointSlices tell them.

Run as a program, it answers; it knows addresses of IPv4 and nothing outside the cluster.
https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/ and RFC 1035
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import binaries
from daemons import Daemon
from sandbox import NODE_IP

from control_plane import ControlPlane

DOMAIN = "cluster.local"
_A, _IN = 1, 1
_NO_SUCH_NAME = 3
_TTL_S = 1


def serve(plane: ControlPlane) -> None:
    """Answer at the node's address for as long as the control plane runs."""
    command = (sys.executable, str(Path(__file__)), str(plane.kubeconfig))
    plane.daemons["dns"] = Daemon(
        command, plane.home / "dns.log", within=plane.within, environ={"PATH": "/usr/bin:/bin"}
    )
    plane.daemons["dns"].start()


def answer(query: bytes, addresses: dict[str, str]) -> bytes:
    """Return the answer to a query that asks one question.

    Args:
        query: As it came.
        addresses: By whole name.
    """
    name, end = _name(query)
    kind = int.from_bytes(query[end : end + 2], "big")
    found = addresses.get(name.lower())
    records = b""
    if found and kind == _A:
        records = b"\xc0\x0c" + _numbers((_A, 2), (_IN, 2), (_TTL_S, 4), (4, 2)) + socket.inet_aton(found)
    code = 0 if found else _NO_SUCH_NAME
    head = query[:2] + _numbers((0x8580 | code, 2), (1, 2), (1 if records else 0, 2), (0, 2), (0, 2))
    return head + query[12 : end + 4] + records


def _name(query: bytes) -> tuple[str, int]:
    """Return the name that is asked for, and where it ends."""
    labels, at = [], 12
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode("ascii", "replace"))
        at += 1 + length
    return ".".join(labels), at + 1


def _numbers(*parts: tuple[int, int]) -> bytes:
    return b"".join(number.to_bytes(size, "big") for number, size in parts)


def _addresses(kubeconfig: str) -> dict[str, str]:
    command = [str(binaries.folder() / "kubectl"), "--kubeconfig", kubeconfig, "get", "endpointslices"]
    command += ["--all-namespaces", "--output=json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = {}
    for item in json.loads(done.stdout or '{"items": []}')["items"]:
        metadata = item["metadata"]
        service = metadata.get("labels", {}).get("kubernetes.io/service-name")
        for endpoint in item.get("endpoints") or ():
            if "hostname" in endpoint:
                name = f"{endpoint['hostname']}.{service}.{metadata['namespace']}.svc.{DOMAIN}"
                found[name] = endpoint["addresses"][0]
    return found


def _serve(kubeconfig: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((NODE_IP, 53))
        while True:
            query, client = server.recvfrom(512)
            server.sendto(answer(query, _addresses(kubeconfig)), client)


if __name__ == "__main__":
    _serve(sys.argv[1])
