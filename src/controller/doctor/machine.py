"""This machine: Python, packages, disk space."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from controller.doctor.finding import Finding

#: What each extra brings, by import name.
_MODULES = {
    "controller": ("kubernetes", "prometheus_client", "rich"),
    "curate": ("av", "pyarrow", "scipy", "PIL", "jinja2"),
    "train": ("torch", "transformers", "peft", "accelerate", "safetensors", "tensorboard"),
    "eval": ("matplotlib", "scipy", "jinja2"),
}
#: Extras of a machine that runs the stages itself; for others the first is enough.
EVERY_EXTRA = tuple(_MODULES)
_ENOUGH_DISK = 20e9


def python() -> Finding:
    """Return whether this Python is new enough."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding("python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer")


def packages(extras: Iterable[str]) -> list[Finding]:
    """Return whether each extra's packages are installed."""
    findings = []
    for extra in extras:
        missing = [name for name in _MODULES[extra] if importlib.util.find_spec(name) is None]
        found = f"missing {', '.join(missing)}" if missing else "installed"
        findings.append(Finding(f"packages of {extra}", not missing, found, f"pip install 'touge[{extra}]'"))
    return findings


def disk(home: Path) -> Finding:
    """Return whether there is room for a run's scratch files and artifacts."""
    existing = next(path for path in (home.absolute(), *home.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    advice = "free some space: a run keeps its scratch files and, by default, its artifacts there"
    return Finding("disk", free >= _ENOUGH_DISK, f"{free / 1e9:.0f} GB free at {existing}", advice)
