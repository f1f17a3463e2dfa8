"""What leaves touge in the release's layout, tensor by tensor: merged adapters, trained checkpoints, adapters.

Adapters are always merged into the base's own weights, those that were trained on 4 bits as well. What is written
says where it comes from, in `touge.json`.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from touge.alpamayo.config import AlpamayoConfig, Json, read_json
from touge.alpamayo.inputs.prompt import prompt_hash
from touge.alpamayo.inputs.tokenizer import FILE as TOKENIZER
from touge.alpamayo.model import AlpamayoR1
from touge.alpamayo.weights import checkpoint, lora
from touge.alpamayo.weights.shards import FILE_BYTES, INDEX, Shards, write_shards
from touge.contract.errors import SettingsError

#: Says where a folder comes from; `checkpoint.digest` covers it.
PROVENANCE = "touge.json"
ADAPTER_CONFIG = "adapter_config.json"
_WEIGHTS = (".safetensors", ".part")


def merge(
    base: Path,
    adapter: Path,
    out: Path,
    *,
    backbone: Path | None = None,
    base_digest: str | None = None,
    limit: int = FILE_BYTES,
) -> Json:
    """Write the checkpoint that computes what base and adapter do together.

    Args:
        base: A checkpoint in full precision.
        adapter: Trained on it, or on it in 4 bits.
        out: A folder that is not there yet.
        backbone: Folder of the backbone's config.json, for a base without its own.
        base_digest: Of the base as a plan names it; that of the folder when None.
        limit: Bytes of one file.

    Returns:
        The provenance, and the new checkpoint's `digest`.

    Raises:
        CheckpointError: If the two do not belong together or are damaged.
        SettingsError: If `out` is there.
    """
    digest = base_digest or identity(base)
    weights, stored = Shards.open(base), Shards.of([adapter / lora.WEIGHTS])
    model = _skeleton(base, backbone, weights)
    made = lora.read_sidecar(adapter, digest, model.config.family)
    lora.inject(model, made)
    lora.check_fit(model, {n.removeprefix(lora.PREFIX): spec.shape for n, spec in stored.specs.items()}, adapter)
    origin = {
        "made": "merge",
        "base": digest,
        "adapter": checkpoint.digest(adapter),
        "prompt": prompt_hash(model.config.family),
        "settings": asdict(made),
    }
    with _new(out, origin) as folder:
        _copy_others(base, folder)
        write_shards(folder, weights.specs, partial(_merged, weights, stored, made), limit=limit)
    return _described(out)


def export_checkpoint(source: Path, out: Path, *, backbone: Path | None = None, limit: int = FILE_BYTES) -> Json:
    """Write a checkpoint as the reference code loads it: weights in the stated type, sharded, no tokenizer.

    Args:
        source: A checkpoint, such as full training leaves.
        out: A folder that is not there yet.
        backbone: Folder of the backbone's config.json, for a checkpoint without its own.
        limit: Bytes of one file.

    Returns:
        The provenance, and the new checkpoint's `digest`.

    Raises:
        CheckpointError: If the source does not fit its config.json or is damaged.
        SettingsError: If `out` is there.
    """
    weights = Shards.open(source)
    model = _skeleton(source, backbone, weights)
    dtype = checkpoint.stated_dtype(model.config)
    parameters = {name for name, _ in model.named_parameters()}
    specs = {n: replace(spec, dtype=dtype) if n in parameters else spec for n, spec in weights.specs.items()}
    origin = {"made": "export", "source": identity(source), "prompt": prompt_hash(model.config.family)}
    with _new(out, origin) as folder:
        _copy_others(source, folder, without=(TOKENIZER,))
        write_shards(folder, specs, weights.read, limit=limit)
    return _described(out)


def export_adapter(source: Path, out: Path, *, base_name: str) -> Json:
    """Write an adapter in PEFT's format, with the name of the base that PEFT looks for.

    Args:
        source: An adapter of ours.
        out: A folder that is not there yet.
        base_name: Repository or folder of the base.

    Returns:
        The provenance, and the new folder's `digest`.

    Raises:
        CheckpointError: If the adapter is damaged.
        SettingsError: If `out` is there.
    """
    sidecar, config = read_json(source / lora.SIDECAR), read_json(source / ADAPTER_CONFIG)
    Shards.of([source / lora.WEIGHTS])
    with _new(out, sidecar) as folder:
        text = json.dumps(config | {"base_model_name_or_path": base_name}, indent=2) + "\n"
        (folder / ADAPTER_CONFIG).write_text(text, encoding="utf-8")
        shutil.copyfile(source / lora.WEIGHTS, folder / lora.WEIGHTS)
    return _described(out)


def identity(folder: Path) -> str:
    """Return the digest of a model's folder as a plan has it: the commit of a hub's snapshot, else of all files."""
    real = folder.resolve()
    if real.parent.name == "snapshots" and re.fullmatch("[0-9a-f]{40}", real.name):
        return real.name
    return checkpoint.digest(folder)


def _skeleton(folder: Path, backbone: Path | None, weights: Shards) -> AlpamayoR1:
    """Return a checkpoint's model without memory, after a look at what the files hold."""
    config = AlpamayoConfig.read(folder, backbone=backbone)
    with torch.device("meta"):
        model = AlpamayoR1(config)
    checkpoint.check_fit(model, weights, folder)
    return model


def _merged(weights: Shards, stored: Shards, adapter: lora.Adapter, name: str) -> Tensor:
    weight, place = weights.read(name), lora.PREFIX + name.removesuffix(".weight")
    if f"{place}.lora_A.weight" not in stored.specs:
        return weight
    a, b = (stored.read(f"{place}.lora_{half}.weight") for half in "AB")
    magnitude = stored.read(f"{place}.lora_magnitude_vector") if adapter.variant == "dora" else None
    return lora.merged(weight, adapter, a, b, magnitude)


@contextmanager
def _new(out: Path, origin: Json) -> Iterator[Path]:
    """Yield a folder that gets its name when it is complete, and is removed otherwise."""
    if out.exists():
        raise SettingsError(f"{out} is there already; give a folder that is not there yet")
    folder = out.with_name(f"{out.name}.part")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
        provenance = {"schema": "touge.model/1"} | origin
        (folder / PROVENANCE).write_text(json.dumps(provenance, indent=1) + "\n", encoding="utf-8")
        folder.rename(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy_others(source: Path, folder: Path, without: tuple[str, ...] = ()) -> None:
    """Copy configuration, tokenizer and licence: every file at the top that is neither weights nor code."""
    left = {INDEX, PROVENANCE, *without}
    for path in source.iterdir():
        if path.is_file() and path.name not in left and path.suffix not in {*_WEIGHTS, ".py"}:
            shutil.copyfile(path, folder / path.name)


def _described(out: Path) -> Json:
    provenance: dict[str, Any] = read_json(out / PROVENANCE)
    return provenance | {"digest": checkpoint.digest(out)}
