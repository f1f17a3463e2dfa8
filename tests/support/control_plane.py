"""A real control plane on loopback or in a sandbox: etcd, API server, controller manager, scheduler. No node.

    with ControlPlane() as plane:
        plane.kubectl("get", "namespaces")

RBAC and Pod Security admission are on; every request is in the audit log. It is ready in seconds and asks for no
rights, but for its binaries (`binaries`).
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import binaries
import pytest
from certificates import Authority, key_pair
from daemons import Daemon, wait_until
from homes import home
from sandbox import NODE_IP, SERVICE_IP, Sandbox

_NEEDED = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
_ADMINISTRATORS = "system:masters"
_SERVICES = "10.0.0.0/24"
#: What scheduler and controllers may ask a second, so that many pods at once take no longer than the machine needs.
_BUSY = {"kube-api-qps": 200, "kube-api-burst": 400}
_AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


class ControlPlane:
    """A control plane for as long as the context lasts.

    Args:
        sandbox: Where it runs, reached by `run` and `kubectl` only; None: on loopback, reached by its kubeconfig.
    """

    def __init__(self, sandbox: Sandbox | None = None) -> None:
        self._sandbox = sandbox
        self.within = sandbox.within if sandbox else ()
        self._port = 443 if sandbox else _free_port()
        self.server = f"https://{SERVICE_IP if sandbox else '127.0.0.1'}:{self._port}"
        self.authority = Authority()
        self.daemons: dict[str, Daemon] = {}

    def __enter__(self) -> Self:
        if lacking := binaries.missing(*_NEEDED):
            pytest.skip(f"no {', '.join(lacking)} in {binaries.folder()}; {binaries.HOW}")
        with contextlib.ExitStack() as stack:
            self.home = stack.enter_context(home())
            stack.callback(self._kill_all)
            self.kubeconfig = self.kubeconfig_of("admin", _ADMINISTRATORS)
            self._start()
            self._leave = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave.close()

    def kubectl(self, *arguments: str, given: Any = None) -> str:
        """Run kubectl as administrator, with objects as its input, and return what it printed.

        Raises:
            AssertionError: It failed; its words are the message.
        """
        done = self.run(str(binaries.folder() / "kubectl"), *arguments, given=given)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def get(self, *arguments: str) -> Any:
        """Return what `kubectl get` found, as a document."""
        return json.loads(self.kubectl("get", *arguments, "--output", "json"))

    def create(self, objects: Iterable[Any], *arguments: str) -> str:
        """Create objects, and return what kubectl said."""
        given = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        return self.kubectl("create", "--filename=-", *arguments, given=given)

    def run(self, *command: str, given: Any = None, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command that knows the cluster by KUBECONFIG, where it can reach it."""
        known = {"PATH": os.environ["PATH"], "HOME": str(self.home), "KUBECONFIG": str(self.kubeconfig)}
        text = given if isinstance(given, str) else json.dumps(given)
        return subprocess.run(
            [*self.within, *command], input=text, capture_output=True, text=True, check=False, env=known | environ
        )

    def kubeconfig_of(self, user: str, *groups: str) -> Path:
        """Write and return the kubeconfig of a user."""
        path = self.home / f"{user.replace(':', '-')}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(self.authority.kubeconfig(self.server, user, *groups), "utf-8")
        return path

    def daemon(self, name: str, *arguments: str) -> Daemon:
        """Start one of the binaries, which runs as long as the cluster."""
        command: Sequence[str] = (str(binaries.folder() / name), *arguments)
        path = f"{binaries.folder()}:/usr/sbin:/usr/bin:/sbin:/bin"
        environ = {"PATH": path, "HOME": str(self.home)}
        self.daemons[name] = Daemon(command, self.home / f"{name}.log", within=self.within, environ=environ)
        self.daemons[name].start()
        return self.daemons[name]

    def kill_apiserver(self) -> None:
        """Kill the API server with -9, as a node's failure would."""
        self.daemons["kube-apiserver"].kill()

    def restart_apiserver(self) -> None:
        """Start it again at the same address, and wait until it is ready."""
        self.daemons["kube-apiserver"].start()
        self._wait_for_apiserver()

    def audited(self) -> list[dict[str, Any]]:
        """Return every request that was answered so far: `user`, `verb`, `objectRef`, `responseStatus`, ...

        https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/
        """
        return [json.loads(line) for line in (self.home / "audit.jsonl").read_text("utf-8").splitlines()]

    def _start(self) -> None:
        etcd = f"http://127.0.0.1:{_free_port()}"
        peers = f"http://127.0.0.1:{_free_port()}"
        self.daemon("etcd", *_etcd(self.home / "etcd", etcd, peers))
        self.daemon("kube-apiserver", *self._apiserver(etcd))
        self._wait_for_apiserver()
        self.daemon("kube-controller-manager", *self._controllers())
        self.daemon("kube-scheduler", *_flags(self._component("kube-scheduler") | _BUSY))
        self.await_account("default")

    def restricted_namespace(self) -> str:
        """Make a namespace that enforces Pod Security "restricted", and wait until pods can be made in it."""
        return self.namespace({"pod-security.kubernetes.io/enforce": "restricted"})

    def namespace(self, labels: Mapping[str, str]) -> str:
        """Make a namespace, and wait until pods can be made in it."""
        wanted = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "test-", "labels": labels}}
        made = self.kubectl("create", "--filename=-", "--output=name", given=wanted).strip().removeprefix("namespace/")
        self.await_account(made)
        return made

    def await_account(self, namespace: str) -> None:
        """Wait until pods can be made in a namespace: its default service account is there."""
        there = ("get", "serviceaccount", "default", "--namespace", namespace, "--ignore-not-found", "--output", "name")
        manager = self.daemons["kube-controller-manager"]
        wait_until(lambda: bool(self.kubectl(*there)), f"{namespace} has an account", told=manager.told)

    def _wait_for_apiserver(self) -> None:
        apiserver = self.daemons["kube-apiserver"]
        ready = (str(binaries.folder() / "kubectl"), "get", "--raw", "/readyz")
        wait_until(lambda: self.run(*ready).stdout == "ok", "the API server is ready", told=apiserver.told)

    def _apiserver(self, etcd: str) -> list[str]:
        hosts = ("127.0.0.1", SERVICE_IP, "localhost", "kubernetes", "kubernetes.default.svc")
        certificate, key = self.authority.pair("kube-apiserver", hosts=hosts).written(self.home, "apiserver")
        client, client_key = self.authority.pair("apiserver", _ADMINISTRATORS).written(self.home, "to-kubelets")
        public, private = key_pair().written(self.home, "accounts")
        authority, policy = self.home / "authority.crt", self.home / "audit-policy.json"
        authority.write_bytes(self.authority.certificate)
        policy.write_text(json.dumps(_AUDIT), "utf-8")
        return _flags({
            "etcd-servers": etcd,
            "bind-address": "0.0.0.0" if self.within else "127.0.0.1",
            "secure-port": self._port,
            "advertise-address": NODE_IP,
            "endpoint-reconciler-type": "none",
            "service-cluster-ip-range": _SERVICES,
            "tls-cert-file": certificate,
            "tls-private-key-file": key,
            "client-ca-file": authority,
            "authorization-mode": "Node,RBAC",
            "enable-admission-plugins": "NodeRestriction",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": public,
            "service-account-signing-key-file": private,
            "kubelet-client-certificate": client,
            "kubelet-client-key": client_key,
            "kubelet-certificate-authority": authority,
            "kubelet-preferred-address-types": "InternalIP",
            "audit-policy-file": policy,
            "audit-log-path": self.home / "audit.jsonl",
        })  # fmt: skip

    def _controllers(self) -> list[str]:
        return _flags({
            **self._component("kube-controller-manager"),
            "use-service-account-credentials": "true",
            "service-account-private-key-file": self.home / "accounts.key",
            "root-ca-file": self.home / "authority.crt",
            **_BUSY,
        })  # fmt: skip

    def _component(self, name: str) -> dict[str, Any]:
        kubeconfig = self.kubeconfig_of(f"system:{name}")
        return {"kubeconfig": kubeconfig, "leader-elect": "false", "secure-port": 0}

    def _kill_all(self) -> None:
        if self._sandbox:
            self._sandbox.end()
        for daemon in reversed(self.daemons.values()):
            daemon.kill()


def _etcd(data: Path, clients: str, peers: str) -> list[str]:
    flags = {
        "data-dir": data,
        "listen-client-urls": clients,
        "advertise-client-urls": clients,
        "listen-peer-urls": peers,
        "initial-advertise-peer-urls": peers,
        "initial-cluster": f"default={peers}",
        "log-level": "warn",
        "unsafe-no-fsync": "true",
    }
    return _flags(flags)


def _flags(values: dict[str, Any]) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items()]


def _free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
