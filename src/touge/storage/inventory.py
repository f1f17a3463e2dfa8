"""What an address holds today, by content: inventories of drives, digests of models."""

from __future__ import annotations

from touge.contract.errors import DataError, ObjectNotFound
from touge.contract.identity import digest
from touge.contract.inventory import Inventory, InventoryItem
from touge.contract.plan import ResolvedModel
from touge.storage import ObjectInfo, Store, StoreSettings, open_store
from touge.storage.hashes import Hashes, memory_file, remembered
from touge.storage.hub import HubModel
from touge.storage.local import LocalStore, explained


def take_inventory(uri: str, settings: StoreSettings | None = None) -> Inventory:
    """List everything below a drives URI: a folder, a prefix, or a single object.

    The tag of a local file is its sha256, that of an object in S3 its entity tag.

    Raises:
        DataError: If nothing is there.
        SettingsError: If it may not be read.
    """
    store, found = _found(uri, settings)
    if not found:
        raise DataError(f"{uri}: nothing is there. Expected a folder, a prefix or a file with data; check the address")
    return Inventory.of(uri, _tagged(store, found))


def resolve_model(uri: str, settings: StoreSettings | None = None) -> ResolvedModel:
    """Return a model's digest: of all its files, or the commit of a hub revision.

    The network is not needed for hf:// with a commit; with a branch or a tag the commit is asked for, and
    named in the returned address.

    Raises:
        DataError: If nothing is there.
        SettingsError: If it may not be read.
    """
    if uri.startswith("hf://"):
        model = HubModel.parse(uri).pinned()
        return ResolvedModel(uri=model.uri, digest=model.revision)
    items = take_inventory(uri, settings).items
    return ResolvedModel(uri=uri, digest=digest([item.model_dump() for item in items]))


def _found(uri: str, settings: StoreSettings | None) -> tuple[Store, list[ObjectInfo]]:
    """Return the objects below the address, or the object at it, with the store that their keys are relative to."""
    store = open_store(uri, settings)
    if found := list(store.list()):
        return store, found
    parent, _, name = store.uri.rpartition("/")
    if parent.endswith("/"):  # a bucket, or a folder at the root
        return store, []
    try:
        single = open_store(parent, settings)
        return single, [single.stat(name)]
    except ObjectNotFound:
        return store, []


def _tagged(store: Store, found: list[ObjectInfo]) -> list[InventoryItem]:
    if not isinstance(store, LocalStore):
        return [InventoryItem(key=info.key, size=info.size, tag=info.etag.strip('"')) for info in found]
    with remembered(memory_file()) as hashes:
        return [InventoryItem(key=info.key, size=info.size, tag=_sha256(store, info.key, hashes)) for info in found]


def _sha256(store: LocalStore, key: str, hashes: Hashes) -> str:
    try:
        return hashes.sha256(store.root / key)
    except OSError as error:
        raise explained(error, f"{store.uri}/{key}", store.root) from error
