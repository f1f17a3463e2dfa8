"""Object storage: one port, an adapter a scheme, and the commit protocol of executions over it.

May import `touge.contract` only. `boto3` is imported in `s3` alone, `huggingface_hub` in `hub` alone.
"""

from __future__ import annotations

from pathlib import Path

from touge.contract.errors import SettingsError
from touge.storage.local import LocalStore
from touge.storage.port import ObjectInfo, Store
from touge.storage.settings import StoreSettings, settings_from_environment

__all__ = ["ObjectInfo", "Store", "StoreSettings", "open_store"]


def open_store(uri: str, settings: StoreSettings | None = None) -> Store:
    """Return the store at `file:///folder` (`file://./folder` from the current one) or `s3://bucket/prefix`.

    Raises:
        SettingsError: If the address or the environment's settings are wrong.
    """
    scheme, _, rest = uri.partition("://")
    if scheme == "file" and rest:
        return LocalStore(Path(rest))
    bucket, _, prefix = rest.partition("/")
    if scheme == "s3" and bucket:
        from touge.storage.s3 import S3Store

        return S3Store(bucket, prefix, settings or settings_from_environment())
    raise SettingsError(f"store {uri!r}: expected file:///folder or s3://bucket/prefix")
