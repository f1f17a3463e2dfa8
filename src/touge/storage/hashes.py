"""Content hashes of large local files, remembered from one plan to the next.

A file whose inode, size and time of change are as they were has the content that it had. One that changed
a moment ago is hashed but not remembered: it could change again within the clock's grain, as git's index
knows (https://git-scm.com/docs/racy-git). Where nothing can be remembered, every file is hashed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

#: Smaller files are hashed faster than looked up.
MIN_BYTES = 1 << 20
_SETTLED_NS = 2 * 10**9
_TABLE = "CREATE TABLE IF NOT EXISTS sha256 (path TEXT PRIMARY KEY, state TEXT NOT NULL, sha256 TEXT NOT NULL)"


@dataclass(frozen=True, slots=True)
class Hashes:
    """Hashes files, with a memory or without."""

    _memory: sqlite3.Connection | None = None

    def sha256(self, path: Path) -> str:
        """Return the hexadecimal sha256 of a file; raises OSError."""
        status = path.stat()
        state = f"{status.st_dev}-{status.st_ino}-{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"
        if status.st_size < MIN_BYTES or self._memory is None:
            return _sha256(path)
        with contextlib.suppress(sqlite3.Error):
            query = "SELECT sha256 FROM sha256 WHERE path = ? AND state = ?"
            if row := self._memory.execute(query, (str(path), state)).fetchone():
                return str(row[0])
        found = _sha256(path)
        if time.time_ns() - status.st_ctime_ns > _SETTLED_NS:
            with contextlib.suppress(sqlite3.Error):
                self._memory.execute("REPLACE INTO sha256 VALUES (?, ?, ?)", (str(path), state, found))
        return found


@contextlib.contextmanager
def remembered(file: Path | None) -> Iterator[Hashes]:
    """Yield hashes that are remembered in a SQLite file; without one, or if it cannot be used, they are not."""
    try:
        if file is None:
            raise FileNotFoundError
        file.parent.mkdir(parents=True, exist_ok=True)
        memory = sqlite3.connect(file, isolation_level=None)
    except (OSError, sqlite3.Error):
        yield Hashes()
        return
    with contextlib.closing(memory):
        with contextlib.suppress(sqlite3.Error):
            memory.execute(_TABLE)
        yield Hashes(memory)


def memory_file(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return where hashes are remembered: below the user's cache folder, or nowhere without a home."""
    cache = environ.get("XDG_CACHE_HOME") or (f"{home}/.cache" if (home := environ.get("HOME")) else None)
    return Path(cache) / "touge/sha256.sqlite" if cache else None


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
