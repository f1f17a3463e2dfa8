"""Models of the Hugging Face hub, read only: a revision's commit, and a commit's files.

The only module that imports huggingface_hub, and only when an hf:// address must be followed: a plan of a
pinned commit needs neither the library nor the network. Code in a repository is never downloaded.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from touge.contract.errors import CheckpointError, DataError, InfrastructureError, SettingsError
from touge.storage.hashes import memory_file, remembered
from touge.storage.local import explained

_ADDRESS = re.compile(r"hf://(?P<repository>[^/@]+/[^/@]+)@(?P<revision>[^@]+)")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHA256_LENGTH = 64
#: Which files are weights.
WEIGHTS = "*.safetensors"
#: Configuration, tokenizer and image processor; never code.
_FILES = ("*.json", "*.txt", "*.model", "*.jinja")


@dataclass(frozen=True, slots=True)
class HubModel:
    """One revision of one repository."""

    repository: str
    revision: str

    @classmethod
    def parse(cls, uri: str) -> Self:
        """Read `hf://owner/name@revision`; raises SettingsError."""
        match = _ADDRESS.fullmatch(uri)
        if match is None:
            raise SettingsError(f"{uri}: expected hf://owner/name@revision")
        return cls(match["repository"], match["revision"])

    @property
    def uri(self) -> str:
        """The address."""
        return f"hf://{self.repository}@{self.revision}"

    def pinned(self) -> HubModel:
        """Return the model at its commit; asks the hub only if the revision is a branch or a tag.

        Raises:
            SettingsError: If the hub refuses, or huggingface_hub is missing.
            DataError: If there is no such repository or revision.
            InfrastructureError: If the hub does not answer.
        """
        if _COMMIT.fullmatch(self.revision):
            return self
        with _explained(self.uri):
            from huggingface_hub import HfApi

            found = HfApi(endpoint=_endpoint()).model_info(self.repository, revision=self.revision).sha
        return HubModel(self.repository, str(found))

    def download(self, cache: Path, *, weights: bool = True) -> Path:
        """Return a folder with the files of a pinned model; those of the hub's own cache are not fetched again.

        Each is streamed to the disk, and its content compared with the hash by which the hub names it.

        Args:
            cache: Where to keep them if the hub's own cache (HF_HOME) cannot be written.
            weights: Whether the weights are needed, or only configuration, tokenizer and image processor.

        Raises:
            CheckpointError: If a file is not what the hub has under its name.
            TougeError: As `pinned` does.
        """
        with _explained(self.uri):
            from huggingface_hub import constants, snapshot_download
            from huggingface_hub.utils.tqdm import disable_progress_bars

            disable_progress_bars()
            own = Path(os.environ.get("HF_HUB_CACHE") or constants.HF_HUB_CACHE)
            folder = snapshot_download(
                self.repository,
                revision=self.revision,
                cache_dir=own if _writable(own) else cache,
                allow_patterns=[*_FILES, *([WEIGHTS] if weights else [])],
                endpoint=_endpoint(),
            )
        _check_content(Path(folder), cache)
        return Path(folder)


def _check_content(folder: Path, cache: Path) -> None:
    """Compare the files of a snapshot, links to blobs, with the hashes that these are named by.

    Large ones (LFS) are named by their sha256, others by git's sha1; some mirrors name them otherwise.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock, remembered(memory_file()) as hashes:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one process hashes, its peers remember
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            blob = path.resolve()
            if not _HASH.fullmatch(blob.name):
                continue
            found = hashes.sha256(blob) if len(blob.name) == _SHA256_LENGTH else _git_sha1(blob)
            if found != blob.name:
                raise CheckpointError(
                    f"{path} is damaged: the hash of its content is {found[:12]}…, expected {blob.name[:12]}…. "
                    f"Remove {blob} and submit again"
                )


def _git_sha1(path: Path) -> str:
    """Return git's name of a file's content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


def _writable(folder: Path) -> bool:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return os.access(existing, os.W_OK)


@contextlib.contextmanager
def _explained(uri: str) -> Iterator[None]:
    """Turn the hub's errors into ours; the message never repeats a token."""
    try:
        from huggingface_hub import errors
    except ImportError as error:
        raise SettingsError(
            f"{uri}: huggingface_hub is not installed. Name a 40-digit commit behind the @, or install touge[train]"
        ) from error
    denied = SettingsError(f"{uri}: the hub refuses. Accept the model's terms there and set HF_TOKEN to your token")
    try:
        yield
    except errors.GatedRepoError as error:
        raise denied from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.HFValidationError) as error:
        raise DataError(
            f"{uri}: no such repository or revision, or a private one. Check the address, or set HF_TOKEN"
        ) from error
    except errors.HfHubHTTPError as error:
        if error.response.status_code in {401, 403}:
            raise denied from error
        raise InfrastructureError(f"{uri}: the hub answered {error.response.status_code}; try again") from error
    except (
        errors.HTTPError,  # type: ignore[attr-defined]  # the transport's own errors come out unwrapped
        errors.EntryNotFoundError,
        errors.RevisionResolutionError,
        ConnectionError,
    ) as error:
        raise InfrastructureError(
            f"{uri}: the hub does not answer ({type(error).__name__}). Check the network and HF_ENDPOINT"
        ) from error
    except OSError as error:
        raise explained(error, str(error.filename or uri), Path(error.filename or ".").parent) from error
