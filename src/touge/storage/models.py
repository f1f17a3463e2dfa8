"""Models by address: a folder on this machine that holds a model's files, checked against the plan's digest."""

from __future__ import annotations

import fcntl
from fnmatch import fnmatch
from pathlib import Path

from touge.contract.errors import CheckpointError, InfrastructureError
from touge.contract.plan import ResolvedModel
from touge.storage import open_store
from touge.storage.hub import WEIGHTS, HubModel
from touge.storage.inventory import resolve_model

_CHUNK = 1 << 20


def model_folder(model: ResolvedModel, scratch: Path, *, weights: bool = True) -> Path:
    """Return a folder with the model's files; those from elsewhere are copied below `scratch` once.

    Args:
        model: Address and digest of the plan.
        scratch: Where copies go; processes that share it share them.
        weights: Whether the weights are needed, or only configuration, tokenizer and image processor.

    Raises:
        CheckpointError: If the address now holds other files than when the plan was made.
        TougeError: If they cannot be read.
    """
    found = resolve_model(model.uri).digest
    if found != model.digest:
        raise CheckpointError(
            f"{model.uri} has changed since the plan was made: digest {found[:12]}…, planned {model.digest[:12]}…. "
            "Submit again to plan with what is there now"
        )
    if model.uri.startswith("file://"):
        return Path(model.uri.removeprefix("file://")).absolute()
    if model.uri.startswith("hf://"):
        return HubModel.parse(model.uri).download(scratch / "hub", weights=weights)
    return _copied(model.uri, scratch / f"model-{model.digest[:16]}", weights=weights)


def _copied(uri: str, folder: Path, *, weights: bool) -> Path:
    """Copy what is not there yet, one process at a time."""
    store = open_store(uri)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for info in store.list():
            target = folder / info.key
            if target.is_file() or (fnmatch(info.key, WEIGHTS) and not weights):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f"{target.name}.partial")
            with store.open(info.key) as stream, partial.open("wb") as out:
                while chunk := stream.read(_CHUNK):
                    out.write(chunk)
            if (size := partial.stat().st_size) != info.size:
                raise InfrastructureError(f"{uri}/{info.key} broke off after {size} of {info.size} bytes; try again")
            partial.replace(target)
    return folder
