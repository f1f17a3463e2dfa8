"""One real node of a sandboxed cluster: containerd, runc and kubelet, which run real pods.

It has no registry: images are archives that are loaded, and pods name them whole with `imagePullPolicy: Never`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import binaries
from daemons import wait_until
from sandbox import NODE_IP
from small_images import PAUSE, small_images

from control_plane import ControlPlane

NAME = "real"
#: GPUs that the node claims to have, and the memory of one, MiB; no pod finds any.
GPUS, GPU_MIB = 2, 24_564
_PODS = "10.98.0.0/24"


class RealNode:
    """A node that joined a control plane, and leaves with it."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane, self._home = plane, plane.home
        self._socket = plane.home / "containerd.sock"

    def join(self) -> None:
        """Start the node, and wait until pods can run on it."""
        self._write("containerd.toml", _CONTAINERD.format(**self._places()))
        self._write("cni/bridge.conflist", json.dumps(_network(self._home)))
        self._write("kubelet.json", json.dumps(self._kubelet()))
        self._start_containerd()
        self.load(small_images(self._home))
        self.rejoin()

    @property
    def joined(self) -> bool:
        """Whether its kubelet is at work."""
        return self._plane.daemons["kubelet"].running

    def lose(self) -> None:
        """Kill the kubelet with -9: for the cluster the node is lost, while its containers live on."""
        self._plane.daemons["kubelet"].kill()

    def rejoin(self) -> None:
        """Start the kubelet, which registers the node where it is not known, and wait until pods can run on it."""
        self._start_kubelet()
        wait_until(self._ready, "the node is ready", told=self._told("kubelet"))
        amount = [{"op": "add", "path": "/status/capacity/nvidia.com~1gpu", "value": str(GPUS)}]
        self._plane.kubectl("patch", "node", NAME, "--subresource=status", "--type=json", "--patch", json.dumps(amount))

    def restart(self) -> None:
        """Kill kubelet and containerd with -9, and start them again; containers live on."""
        for name in ("kubelet", "containerd"):
            self._plane.daemons[name].kill()
        self._start_containerd()
        self._start_kubelet()

    def load(self, archives: Iterable[Path]) -> None:
        """Load images from docker-archives."""
        for archive in archives:
            done = self._ctr("--namespace", "k8s.io", "images", "import", "--local", str(archive))
            assert done.returncode == 0, f"{archive}: {done.stderr}"

    def _start_containerd(self) -> None:
        self._plane.daemon("containerd", f"--config={self._home / 'containerd.toml'}")
        wait_until(lambda: self._ctr("version").returncode == 0, "containerd answers", told=self._told("containerd"))

    def _start_kubelet(self) -> None:
        user = ("system:node:" + NAME, "system:nodes")
        self._plane.daemon(
            "kubelet",
            f"--config={self._home / 'kubelet.json'}",
            f"--kubeconfig={self._plane.kubeconfig_of(*user)}",
            f"--root-dir={self._home / 'kubelet'}",
            f"--cert-dir={self._home / 'kubelet-certificates'}",
            f"--hostname-override={NAME}",
            f"--node-ip={NODE_IP}",
            f"--node-labels=nvidia.com/gpu.memory={GPU_MIB}",
        )

    def _ready(self) -> bool:
        found = self._plane.kubectl("get", "node", NAME, "--ignore-not-found", "--output", "json")
        conditions = json.loads(found)["status"]["conditions"] if found else ()
        return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)

    def _kubelet(self) -> dict[str, Any]:
        pair = self._plane.authority.pair(f"system:node:{NAME}", "system:nodes", hosts=(NODE_IP, NAME))
        certificate, key = pair.written(self._home, "kubelet")
        never = ("memory.available", "nodefs.available", "imagefs.available", "nodefs.inodesFree")
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": NODE_IP,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": False},
                "x509": {"clientCAFile": str(self._home / "authority.crt")},
            },
            "authorization": {"mode": "AlwaysAllow"},
            "tlsCertFile": str(certificate),
            "tlsPrivateKeyFile": str(key),
            "containerRuntimeEndpoint": f"unix://{self._socket}",
            "podLogsDir": str(self._home / "pod-logs"),
            "cgroupDriver": "cgroupfs",
            "cgroupsPerQOS": False,
            "enforceNodeAllocatable": [],
            "failCgroupV1": False,
            "failSwapOn": False,
            "localStorageCapacityIsolation": False,
            "makeIPTablesUtilChains": False,
            "oomScoreAdj": 0,
            "resolvConf": "",
            "clusterDNS": [NODE_IP],
            "clusterDomain": "cluster.local",
            "evictionHard": dict.fromkeys(never, "0%"),
            "imageGCHighThresholdPercent": 100,
        }

    def _ctr(self, *arguments: str) -> Any:
        return self._plane.run(str(binaries.folder() / "ctr"), "--address", str(self._socket), *arguments)

    def _told(self, name: str) -> Any:
        return self._plane.daemons[name].told

    def _places(self) -> dict[str, str]:
        return {"home": str(self._home), "runc": str(shutil.which("runc")), "pause": PAUSE}

    def _write(self, name: str, content: str) -> None:
        path = self._home / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, "utf-8")


def _network(home: Path) -> dict[str, Any]:
    addresses = {"type": "host-local", "dataDir": str(home / "addresses"), "ranges": [[{"subnet": _PODS}]]}
    bridge = {
        "type": "bridge",
        "bridge": "pods",
        "isGateway": True,
        "ipam": addresses | {"routes": [{"dst": "0.0.0.0/0"}]},
    }
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge]}


_CONTAINERD = """
version = 3
root = "{home}/containerd"
state = "{home}/containerd-state"
disabled_plugins = [
  "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs", "io.containerd.nri.v1.nri",
]
[grpc]
  address = "{home}/containerd.sock"
[ttrpc]
  address = "{home}/containerd.ttrpc"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = "{home}/cni"
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      BinaryName = "{runc}"
      SystemdCgroup = false
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "{pause}"
"""
