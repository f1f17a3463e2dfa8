"""Namespaces of a cluster's own: network, mounts and processes. What runs in them ends with them, and they with us.

The first process is the kernel's handle: when it is killed, every process inside is, containers too, and their mounts
and networks go. It reaps orphans, as the first must. What kubelet, containerd and CNI write outside the cluster's home,
they write to memory there.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from daemons import WITH_ITS_PARENT, child_of
from homes import CGROUPS

#: The node's address, and the API server's, which is that of the Service `kubernetes`: no kube-proxy is needed.
NODE_IP, SERVICE_IP = "10.99.0.1", "10.0.0.1"
_WRITTEN = ("/run", "/var/lib", "/var/log")
#: What kubelet sets of the whole machine's kernel: inside it reads and writes these files instead.
_KERNEL = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}
_SETTINGS = " ".join(f"{name}={value}" for name, value in _KERNEL.items())
_SCRIPT = f"""
for folder in {" ".join(_WRITTEN)}; do mount -t tmpfs tmpfs $folder; done
for setting in {_SETTINGS}; do
  mkdir -p /run/kernel/$(dirname ${{setting%=*}})
  echo ${{setting#*=}} >/run/kernel/${{setting%=*}}
  mount --bind /run/kernel/${{setting%=*}} /proc/sys/${{setting%=*}}
done
ip link set lo up
for address in {NODE_IP} {SERVICE_IP}; do ip address add $address/32 dev lo; done
echo ready
while :; do sleep 86400 & wait $!; done
"""
_NEEDED = {
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "ip": "iproute2",
    "runc": "runc",
    "busybox": "busybox-static",
}
_PLUGINS = {"/usr/lib/cni/bridge": "containernetworking-plugins"}


class Sandbox:
    """Network, mount and process namespaces, for as long as the context lasts."""

    def __enter__(self) -> Self:
        command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
        self._process = subprocess.Popen(
            [*WITH_ITS_PARENT, *command, "sh", "-ec", _SCRIPT],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError(f"no namespaces of our own: {self._process.communicate()[1]}")
        self._first = child_of(self._process.pid)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Kill all that runs inside, and wait until it is gone."""
        if self._process.poll() is None:
            os.kill(self._first, signal.SIGKILL)
            self._process.communicate()

    @property
    def within(self) -> tuple[str, ...]:
        """Command by which another command is run inside."""
        return ("nsenter", "--target", str(self._first), "--net", "--mount", "--pid", "--")


def kernel_settings() -> dict[str, str]:
    """Return what this machine's kernel is set to, of all that kubelet would set."""
    return {name: Path("/proc/sys", name).read_text("utf-8").strip() for name in _KERNEL}


def missing_for_a_node() -> list[str]:
    """Return what this machine lacks to run a real node: each as a sentence that says what to do."""
    lacking = {package for name, package in _NEEDED.items() if shutil.which(name) is None}
    lacking |= {package for path, package in _PLUGINS.items() if not Path(path).exists()}
    said = [f"apt-get install {' '.join(sorted(lacking))}"] if lacking else []
    if os.geteuid() != 0:
        said.append("run as root: namespaces, mounts and control groups are made")
    return said or _refused()


def _refused() -> list[str]:
    """Return what this machine refuses to root: in a container it may have neither namespaces nor control groups."""
    groups = next(path for path in (CGROUPS / "memory", CGROUPS) if path.is_dir())
    if not os.access(groups, os.W_OK):
        return [f"{groups} cannot be written: run where root may make control groups"]
    try:
        with Sandbox():
            return []
    except (OSError, RuntimeError) as error:
        return [f"{str(error).strip()}: run where root may make namespaces and mounts"]
