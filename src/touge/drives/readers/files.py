"""The files that a source's URI names: one file, or all of some kinds below a folder or prefix."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from touge.contract.errors import DataError
from touge.storage import Store


def files_at(uri: str, suffixes: Sequence[str], stores: Callable[[str], Store]) -> tuple[Store, tuple[str, ...]]:
    """Return the store and the sorted keys of the files at `uri`.

    Raises:
        DataError: If there is none.
    """
    if uri.endswith(tuple(suffixes)):
        folder, _, name = uri.rpartition("/")
        return stores(folder), (name,)
    store = stores(uri.rstrip("/"))
    keys = tuple(sorted(info.key for info in store.list() if info.key.endswith(tuple(suffixes))))
    if not keys:
        raise DataError(f"{uri}: found no {' or '.join(suffixes)} file; check the address")
    return store, keys
