"""Where things lie in the object store, and the manifest that makes files an artifact (design: artifacts)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from touge.contract.model import Document

#: What S3 allows for a key (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html).
MAX_KEY_BYTES = 1024


def is_key(key: str) -> bool:
    """Whether every store can hold this key: non-empty segments joined by single slashes, none of them . or .."""
    plain = all(segment not in {"", ".", ".."} for segment in key.split("/")) and key.isprintable()
    return plain and len(key.encode()) <= MAX_KEY_BYTES


def folder_clash(key: str, others: Iterable[str]) -> str | None:
    """Return the first of `others` that is a folder of `key` or has `key` as its folder.

    Path-like S3 servers and file systems cannot hold both `a` and `a/b`.
    """
    return next((other for other in others if key.startswith(f"{other}/") or other.startswith(f"{key}/")), None)


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` parts of a mapped stage."""

    index: int
    count: int

    def __str__(self) -> str:
        """Return a key segment that sorts by index."""
        return f"{self.index:05d}-of-{self.count:05d}"


@dataclass(frozen=True, slots=True)
class StageRef:
    """What is committed once: a stage, or one shard of a mapped stage."""

    id: str
    shard: Shard | None = None

    @property
    def prefix(self) -> str:
        """Key prefix of everything that belongs to it."""
        return f"stages/{self.id}" + (f"/shards/{self.shard}" if self.shard else "")

    @property
    def committed_key(self) -> str:
        """The commit mark: created once, names the winning execution."""
        return f"{self.prefix}/committed.json"

    @property
    def executions_prefix(self) -> str:
        """Prefix under which each execution has a prefix of its own."""
        return f"{self.prefix}/executions/"

    def execution_prefix(self, execution: str) -> str:
        """Prefix of one execution: it writes here and nowhere else."""
        return f"{self.executions_prefix}{execution}/"


def execution_id(run: str, attempt: int, uid: str) -> str:
    """Return the name of one execution: `<run>-<attempt>-<pod uid or nonce>`."""
    return f"{run}-{attempt}-{uid}"


def checkpoint_prefix(step: int) -> str:
    """Return the checkpoint's prefix below its execution; zero-padded so that keys sort by step."""
    return f"checkpoints/step-{step:08d}/"


def run_key(run: str, name: str = "run.json") -> str:
    """Return the key of a file of the run record's copy in the store."""
    return f"runs/{run}/{name}"


def model_version_key(channel: str, version: str) -> str:
    """Return the key of one promoted version; it is written once."""
    return f"models/{channel}/{version}.json"


def model_current_key(channel: str) -> str:
    """Return the key of a channel's pointer; it changes by conditional write only."""
    return f"models/{channel}/current.json"


def cancelled_key(run: str) -> str:
    """Return the key whose presence says that the run is cancelled: none of its executions commits."""
    return run_key(run, "cancelled.json")


def _key(name: str) -> str:
    if not is_key(name):
        message = "expected segments joined by single slashes, none of them . or .."
        raise ValueError(message)
    return name


class FileEntry(Document):
    """One file of an artifact: key relative to the manifest, size in bytes, sha256."""

    name: Annotated[str, AfterValidator(_key)]
    size: int = Field(ge=0)
    sha256: str


class Manifest(Document):
    """The list of an execution's or checkpoint's files; written last, so what it lists is whole."""

    schema_version: Literal["touge.manifest/1"] = Field("touge.manifest/1", alias="schema")
    stage: str
    execution: str
    created_us: int
    files: tuple[FileEntry, ...]
    metadata: dict[str, Any] = {}


class Commit(Document):
    """Which execution won a stage."""

    schema_version: Literal["touge.commit/1"] = Field("touge.commit/1", alias="schema")
    stage: str
    execution: str
    manifest_sha256: str
