"""Certificates of a cluster for tests: one authority, what it signs, and the kubeconfig of a user. Nothing is kept."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = dt.timedelta(days=2)
_USES = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes

    def written(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write both, and return where they are."""
        paths = folder / f"{name}.crt", folder / f"{name}.key"
        for path, content in zip(paths, (self.certificate, self.key), strict=True):
            path.write_bytes(content)
            path.chmod(0o600)
        return paths


class Authority:
    """Signs what one cluster needs."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("touge-test-cluster")
        basic = x509.BasicConstraints(ca=True, path_length=0)
        signed = _draft(self._name, self._name, self._key).add_extension(basic, critical=True)
        self.certificate = _pem(signed.sign(self._key, hashes.SHA256()))

    def pair(self, user: str, *groups: str, hosts: Iterable[str] = ()) -> Pair:
        """Return a certificate of a user in groups, or of a server under these hosts."""
        key = ec.generate_private_key(ec.SECP256R1())
        draft = _draft(_name(user, *groups), self._name, key)
        draft = draft.add_extension(x509.ExtendedKeyUsage(_USES), critical=False)
        if names := [_host(host) for host in hosts]:
            draft = draft.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return Pair(_pem(draft.sign(self._key, hashes.SHA256())), private_pem(key))

    def kubeconfig(self, server: str, user: str, *groups: str) -> str:
        """Return the kubeconfig of a user, which needs no other file."""
        pair = self.pair(user, *groups)
        cluster = {"server": server, "certificate-authority-data": _base64(self.certificate)}
        credentials = {"client-certificate-data": _base64(pair.certificate), "client-key-data": _base64(pair.key)}
        context = {"cluster": "tests", "user": user, "namespace": "default"}
        document: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": user, "user": credentials}],
            "contexts": [{"name": "tests", "context": context}],
            "current-context": "tests",
        }
        return json.dumps(document)


def key_pair() -> Pair:
    """Return a key that signs tokens: its public half in the place of a certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Pair(public, private_pem(key))


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a key as a file holds it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _draft(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - _LIFETIME).not_valid_after(now + _LIFETIME)


def _name(user: str, *groups: str) -> x509.Name:
    """Kubernetes reads the user from CN and the groups from O."""
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
