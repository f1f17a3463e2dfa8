"""`doctor`: is everything here that a run needs, and if not, what to do."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from controller.cli.verb import RunVerb, Tools, now_us
from touge.contract.errors import AlreadyExists, Conflict, TougeError
from touge.contract.exit_codes import ExitCode

if TYPE_CHECKING:
    from touge.storage.port import Store

#: What each extra brings, by import name.
_MODULES = {
    "controller": ("rich",),
    "curate": ("av", "pyarrow", "scipy", "PIL", "jinja2"),
    "train": ("torch", "transformers", "peft", "accelerate", "safetensors", "tensorboard"),
    "eval": ("matplotlib", "scipy", "jinja2"),
}
_ENOUGH_DISK = 20e9
_SKEW_S = 60


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    found: str
    advice: str = ""


class Doctor(RunVerb):
    """Check Python, packages, the store's rights and conditional writes, disk space and clock."""

    def run(self, tools: Tools) -> int:
        """Print all findings; exit code 10 if anything is missing."""
        from controller.settings import LOCAL_STORE

        settings = tools.settings
        findings = [_python(), *_packages(), *_store(settings.store or LOCAL_STORE), _disk(settings.home)]
        lines = [
            f"{'ok  ' if f.ok else 'FAIL'} {f.name}: {f.found}" + ("" if f.ok else f"\n     {f.advice}")
            for f in findings
        ]
        self.say("\n".join(lines), [asdict(finding) for finding in findings])
        return ExitCode.OK if all(finding.ok for finding in findings) else ExitCode.INVALID


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding("python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer")


def _packages() -> list[Finding]:
    findings = []
    for extra, modules in _MODULES.items():
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        found = f"missing {', '.join(missing)}" if missing else "installed"
        findings.append(Finding(f"packages of {extra}", not missing, found, f"pip install 'touge[{extra}]'"))
    return findings


def _store(uri: str) -> list[Finding]:
    """Try every kind of request that a run makes, on objects that are removed again."""
    from touge.storage import open_store

    try:
        store = open_store(uri)
    except TougeError as error:
        return [Finding("store", ok=False, found=str(error), advice="set TOUGE_STORE")]
    key = f"runs/doctor-{uuid.uuid4().hex}/probe"
    try:
        findings = [
            _rights(store, key),
            _creates_once(store, key),
            _replaces_only_its_own(store, key),
            _clock(store, key),
        ]
        store.delete(key)
    except TougeError as error:
        return [
            Finding(f"store {store.uri}", ok=False, found=str(error), advice="see the message; then run doctor again")
        ]
    return findings


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


def _clock(store: Store, key: str) -> Finding:
    skew_s = abs(now_us() - store.stat(key).modified_us) / 1e6
    found = f"{skew_s:.0f} s between here and the store ({time.tzname[0]})"
    return Finding(
        "clock", skew_s < _SKEW_S, found, "set this machine's clock (NTP); signed requests and waits need it"
    )


def _disk(home: Path) -> Finding:
    existing = next(path for path in (home.absolute(), *home.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    advice = "free some space: a run keeps its scratch files and, by default, its artifacts there"
    return Finding("disk", free >= _ENOUGH_DISK, f"{free / 1e9:.0f} GB free at {existing}", advice)
