"""The store of a machine that has none: reading finds nothing, writing says why.

On Kubernetes the command line needs the API server alone: a run's record tells what the controller in the cluster has
seen of the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NoReturn

from touge.contract.errors import ObjectNotFound, SettingsError
from touge.storage.port import ObjectInfo

_ADVICE = "the store cannot be reached from here. Set TOUGE_STORE and its credentials, or ask where it can"


class AbsentStore:
    """A store that holds nothing and takes nothing."""

    uri = ""

    def get(self, key: str) -> bytes:
        """Find nothing."""
        self._nothing(key)

    def open(self, key: str, *, offset: int = 0, length: int | None = None) -> BinaryIO:  # noqa: ARG002 - the port's
        """Find nothing."""
        self._nothing(key)

    def stat(self, key: str) -> ObjectInfo:
        """Find nothing."""
        self._nothing(key)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:  # noqa: ARG002 - the port's
        """Yield nothing."""
        return iter(())

    def put(self, key: str, data: bytes | Path) -> ObjectInfo:  # noqa: ARG002 - the port's
        """Take nothing."""
        self._refuse(key)

    def create(self, key: str, data: bytes) -> ObjectInfo:  # noqa: ARG002 - the port's
        """Take nothing."""
        self._refuse(key)

    def replace(self, key: str, data: bytes, *, etag: str) -> ObjectInfo:  # noqa: ARG002 - the port's
        """Take nothing."""
        self._refuse(key)

    def delete(self, key: str) -> None:
        """Remove nothing."""
        self._refuse(key)

    def _nothing(self, key: str) -> NoReturn:
        raise ObjectNotFound(f"{key}: {_ADVICE}")

    def _refuse(self, key: str) -> NoReturn:
        raise SettingsError(f"{key} cannot be written: {_ADVICE}")
