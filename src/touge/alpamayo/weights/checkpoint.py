"""Checkpoints: a folder with config.json, safetensors and tokenizer.json, read strictly and streamed.

Any missing, unexpected or misshapen tensor is an error that lists them all, before any weight is read; only buffers
that follow from the configuration may be absent. A model is built without memory (on the meta device) and each tensor
goes straight to its device, in its last type, or quantised. Nothing that a file names is imported.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import torch
from bitsandbytes.nn import Linear4bit
from tokenizers import Tokenizer
from torch import Tensor, nn

from touge.alpamayo.config import AlpamayoConfig
from touge.alpamayo.inputs.tokenizer import FILE as TOKENIZER
from touge.alpamayo.inputs.tokenizer import load_tokenizer
from touge.alpamayo.model import AlpamayoR1
from touge.alpamayo.weights import quantisation
from touge.alpamayo.weights.shards import FILE_BYTES, Shards, Spec, write_shards
from touge.contract.errors import CheckpointError
from touge.contract.inventory import Inventory, InventoryItem

CONFIG = "config.json"

#: Follow from the configuration; the release leaves them out.
REBUILT = ("freqs", "accel_mean", "accel_std", "curvature_mean", "curvature_std")
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
_LISTED = 12


def load(
    folder: Path,
    *,
    backbone: Path | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    four_bit: bool = False,
) -> tuple[AlpamayoR1, Tokenizer]:
    """Stream a model onto a device, and read its tokenizer.

    Args:
        folder: The checkpoint.
        backbone: Folder of the backbone's config.json and tokenizer.json, for a checkpoint without its own.
        dtype: Of the weights; buffers of rotary positions and Fourier features stay float32.
        device: Where the weights go, one after the other.
        four_bit: Whether decoder linears are quantised on arrival; products are formed in `dtype`.

    Raises:
        CheckpointError: If anything does not fit.
    """
    config = AlpamayoConfig.read(folder, backbone=backbone)
    tokenizer = load_tokenizer(backbone or folder, config)
    weights = Shards.open(folder)
    with torch.device("meta"):
        model = AlpamayoR1(config, dtype)
    check_fit(model, weights, folder)
    if four_bit:
        quantisation.prepare(model, dtype)
    _place_buffers(model, device)
    for name in weights.specs:
        _place(model, name, weights.read(name), dtype, device)
    _check_filled(model, folder)
    return model.eval(), tokenizer


def save(model: AlpamayoR1, tokenizer: Tokenizer, folder: Path, *, limit: int = FILE_BYTES) -> None:
    """Write a folder that `load` reads back, parameters in the type that its config.json states; the weights come last.

    Args:
        model: Without adapters, not quantised.
        tokenizer: As it was loaded.
        folder: Made if it is not there.
        limit: Bytes of one file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(model.config.raw, indent=1) + "\n", encoding="utf-8")
    tokenizer.save(str(folder / TOKENIZER))
    state, dtype = model.state_dict(), stated_dtype(model.config)
    kinds = {name: torch.float32 if name.endswith(REBUILT) else dtype for name in state}
    specs = {name: Spec(tuple(tensor.shape), kinds[name]) for name, tensor in state.items()}
    write_shards(folder, specs, state.__getitem__, limit=limit)


def stated_dtype(config: AlpamayoConfig) -> torch.dtype:
    """Return the type of a checkpoint's weights, as its config.json states it.

    Raises:
        CheckpointError: If it is none of ours.
    """
    if config.dtype not in DTYPES:
        raise CheckpointError(f"`model_dtype` of config.json is {config.dtype!r}; known are {', '.join(DTYPES)}")
    return DTYPES[config.dtype]


def check_fit(model: AlpamayoR1, weights: Shards, folder: Path) -> None:
    """Compare names and shapes of a checkpoint's files with a model's, without reading a weight.

    Raises:
        CheckpointError: Lists all that is missing, unexpected or of another shape.
    """
    own = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: spec.shape for name, spec in weights.specs.items()}
    wrong = {name for name in own.keys() & found.keys() if own[name] != found[name]}
    problems = [
        *_listed("missing", (name for name in own if name not in found and not name.endswith(REBUILT))),
        *_listed("unexpected", (name for name in found if name not in own)),
        *_listed(
            "of another shape",
            (f"{name}: {list(found[name])}, expected {list(own[name])}" for name in own if name in wrong),
        ),
    ]
    if problems:
        raise CheckpointError(
            f"{folder} does not fit its config.json:\n" + "\n".join(problems) + "\nFetch it again, or use another base"
        )


def cast(model: AlpamayoR1, dtype: torch.dtype) -> None:
    """Give every parameter this type; buffers keep theirs, for rotary phases need float32."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)


def digest(folder: Path) -> str:
    """Return the digest of a folder's files as a plan has it of a `file://` address."""
    return Inventory.of("", (_item(folder, path) for path in folder.rglob("*") if path.is_file())).digest


def _item(folder: Path, path: Path) -> InventoryItem:
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return InventoryItem(key=path.relative_to(folder).as_posix(), size=path.stat().st_size, tag=sha256)


def _place_buffers(model: nn.Module, device: torch.device | str) -> None:
    """Move what was rebuilt: all buffers, and nothing else is no meta tensor yet."""
    for name, buffer in list(model.named_buffers()):
        owner, leaf = _owner(model, name)
        owner._buffers[leaf] = buffer.to(device)  # noqa: SLF001 - torch's own store of buffers


@torch.no_grad()
def _place(model: nn.Module, name: str, tensor: Tensor, dtype: torch.dtype, device: torch.device | str) -> None:
    """Give a tensor of a checkpoint to the module that it belongs to, in memory of its own."""
    owner, leaf = _owner(model, name)
    if leaf in owner._buffers:  # noqa: SLF001
        owner.get_buffer(leaf).copy_(tensor)
    elif leaf == "weight" and isinstance(owner, Linear4bit):
        quantisation.quantise(owner, tensor.to(device, dtype))
    else:
        placed = torch.empty(tensor.shape, dtype=dtype, device=device).copy_(tensor)
        setattr(owner, leaf, nn.Parameter(placed))


def _owner(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    place, _, leaf = name.rpartition(".")
    return model.get_submodule(place), leaf


def _check_filled(model: nn.Module, folder: Path) -> None:
    if empty := [name for name, tensor in _tensors(model) if tensor.is_meta]:
        raise CheckpointError(f"{folder} left {len(empty)} tensors on the meta device, such as {empty[0]}")


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return chain(model.named_parameters(), model.named_buffers())


def _listed(title: str, names: Iterable[str]) -> list[str]:
    names = list(names)
    more = [f"  … and {len(names) - _LISTED} more"] if len(names) > _LISTED else []
    return [f"{len(names)} {title}:", *(f"  {name}" for name in names[:_LISTED]), *more] if names else []
