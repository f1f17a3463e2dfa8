"""The whole test cluster in namespaces of its own: control plane, fake GPU nodes, one real node that runs pods."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import cluster_dns
import fake_nodes
from real_node import RealNode
from sandbox import Sandbox

from control_plane import ControlPlane


@dataclass(frozen=True, slots=True)
class Cluster:
    """What tests ask: the control plane, and the real node for its images."""

    plane: ControlPlane
    node: RealNode


@contextlib.contextmanager
def running() -> Iterator[Cluster]:
    """Yield a cluster that is ready."""
    with Sandbox() as sandbox, ControlPlane(sandbox) as plane:
        fake_nodes.play(plane)
        cluster_dns.serve(plane)
        node = RealNode(plane)
        node.join()
        yield Cluster(plane, node)
