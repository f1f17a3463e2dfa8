"""The object store: rights, conditional writes, its clock. Every kind of request that a run makes."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

from controller.doctor.finding import Finding
from touge.contract.errors import AlreadyExists, Conflict, TougeError
from touge.storage import open_store
from touge.storage.port import Store

_SKEW_S = 60


def store(uri: str, now_us: Callable[[], int]) -> list[Finding]:
    """Try every kind of request that a run makes, on objects that are removed again."""
    try:
        given = open_store(uri)
    except TougeError as error:
        return [Finding("store", ok=False, found=str(error), advice="set TOUGE_STORE")]
    key = f"runs/doctor-{uuid.uuid4().hex}/probe"
    try:
        findings = [
            _rights(given, key),
            _creates_once(given, key),
            _replaces_only_its_own(given, key),
            _clock(given, key, now_us),
        ]
        given.delete(key)
    except TougeError as error:
        return [
            Finding(f"store {given.uri}", ok=False, found=str(error), advice="see the message; then run doctor again")
        ]
    return findings


def elsewhere() -> Finding:
    """Say that the store is not looked at from here."""
    hint = "`helm test` checks it from inside; with TOUGE_STORE and its credentials set, reports are seen from here"
    return Finding("store", ok=True, found="not reached from here", hint=hint)


def _rights(store: Store, key: str) -> Finding:
    store.create(key, b"probe")
    listed = [info.key for info in store.list(key)] == [key]
    whole = listed and store.get(key) == b"probe"
    found = "can write, read and list" if whole else "what was written is not listed or not read back"
    return Finding(f"store {store.uri}", whole, found, "use a store that reads its own writes")


def _creates_once(store: Store, key: str) -> Finding:
    refused = _refused(lambda: store.create(key, b"again"))
    found = (
        "a second create is refused" if refused else "a second create overwrote the first (If-None-Match is ignored)"
    )
    return Finding(
        "store, conditional create", refused, found, "commits would not be safe: use another store or version"
    )


def _replaces_only_its_own(store: Store, key: str) -> Finding:
    etag = store.stat(key).etag
    store.replace(key, b"newer probe", etag=etag)
    refused = _refused(lambda: store.replace(key, b"lost", etag=etag))
    found = "a stale replace is refused" if refused else "a stale replace went through (If-Match is ignored)"
    return Finding("store, conditional replace", refused, found, "promotion would not be safe: use another store")


def _refused(write: Callable[[], object]) -> bool:
    try:
        write()
    except (AlreadyExists, Conflict):
        return True
    return False


def _clock(store: Store, key: str, now_us: Callable[[], int]) -> Finding:
    skew_s = abs(now_us() - store.stat(key).modified_us) / 1e6
    found = f"{skew_s:.0f} s between here and the store ({time.tzname[0]})"
    return Finding(
        "clock", skew_s < _SKEW_S, found, "set this machine's clock (NTP); signed requests and waits need it"
    )
