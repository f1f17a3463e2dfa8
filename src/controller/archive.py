"""The store's copy of a run: what it was made from at its start, how it ended when it is over.

The run record is authoritative while a run lives; this is what remains afterwards.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from controller.records import RunRecord
from touge.contract.artifacts import cancelled_key, run_key
from touge.contract.errors import ObjectNotFound
from touge.contract.inventory import Inventory
from touge.storage.port import Store


def archive(record: RunRecord, store: Store) -> None:
    """Write the run record as it is now."""
    store.put(run_key(record.run), record.to_json().encode())


def archive_inventories(run: str, inventories: Iterable[Inventory], store: Store) -> None:
    """Write what each drives URI held when the plan was made."""
    for inventory in inventories:
        store.put(run_key(run, f"inventory/{inventory.digest}.json"), inventory.to_json().encode())


def mark_cancelled(run: str, store: Store) -> None:
    """Make the run's executions refrain from committing, also those that nobody can stop."""
    store.put(cancelled_key(run), b"{}")


def unmark_cancelled(run: str, store: Store) -> None:
    """Let the run's executions commit again, if it was marked."""
    with contextlib.suppress(ObjectNotFound):
        store.stat(cancelled_key(run))
        store.delete(cancelled_key(run))
