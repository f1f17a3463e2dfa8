"""Checkpoints: a folder with config.json, safetensors and tokenizer.json, read strictly.

Any missing, unexpected or misshapen tensor is an error that lists them all; only buffers that follow from the
configuration may be absent. Nothing that a file names is imported.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor

from touge.alpamayo.config import AlpamayoConfig, read_json
from touge.alpamayo.model import AlpamayoR1
from touge.alpamayo.tokenizer import FILE as TOKENIZER
from touge.alpamayo.tokenizer import load_tokenizer
from touge.contract.errors import CheckpointError

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"

#: Follow from the configuration; the release leaves them out.
REBUILT = ("freqs", "accel_mean", "accel_std", "curvature_mean", "curvature_std")
_LISTED = 12


def load(
    folder: Path, *, backbone: Path | None = None, dtype: torch.dtype = torch.float32
) -> tuple[AlpamayoR1, Tokenizer]:
    """Read a model and its tokenizer onto the CPU.

    Args:
        folder: The checkpoint.
        backbone: Folder of the backbone's config.json and tokenizer.json, for a checkpoint without its own.
        dtype: Of the weights; buffers of rotary positions and Fourier features stay float32.

    Raises:
        CheckpointError: If anything does not fit.
    """
    config = AlpamayoConfig.read(folder, backbone=backbone)
    tokenizer = load_tokenizer(backbone or folder, config)
    model = AlpamayoR1(config, dtype)
    _fill(model, read_weights(folder), folder)
    cast(model, dtype)
    return model.eval(), tokenizer


def save(model: AlpamayoR1, tokenizer: Tokenizer, folder: Path) -> None:
    """Write a folder that `load` reads back equal; the weights come last."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(model.config.raw, indent=1) + "\n", encoding="utf-8")
    tokenizer.save(str(folder / TOKENIZER))
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / f"{WEIGHTS}.part")
    shutil.move(folder / f"{WEIGHTS}.part", folder / WEIGHTS)


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Return all tensors of a folder's safetensors files, sharded or not.

    Raises:
        CheckpointError: If a file is missing or truncated.
    """
    tensors: dict[str, Tensor] = {}
    for path in _weight_files(folder):
        try:
            tensors |= load_file(path)
        except FileNotFoundError as error:
            raise CheckpointError(f"{path} is missing; {_INDEX} names it") from error
        except SafetensorError as error:
            raise CheckpointError(f"{path} is damaged or truncated ({error}); fetch the checkpoint again") from error
    return tensors


def cast(model: AlpamayoR1, dtype: torch.dtype) -> None:
    """Give every parameter this type; buffers keep theirs, for rotary phases need float32."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)


def digest(folder: Path) -> str:
    """Return the sha256 over names and contents of a checkpoint's files."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").digest()
        total.update(path.relative_to(folder).as_posix().encode() + b"\0" + content)
    return total.hexdigest()


def _weight_files(folder: Path) -> list[Path]:
    if (folder / _INDEX).is_file():
        named = read_json(folder / _INDEX).get("weight_map")
        if not isinstance(named, dict):
            raise CheckpointError(f"{folder / _INDEX} has no `weight_map`; fetch the checkpoint again")
        return [folder / str(name) for name in sorted(set(named.values()))]
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    raise CheckpointError(f"{folder} holds neither {WEIGHTS} nor {_INDEX}; it is no checkpoint")


def _fill(model: AlpamayoR1, weights: Mapping[str, Tensor], folder: Path) -> None:
    own = model.state_dict()
    missing = [name for name in own if name not in weights and not name.endswith(REBUILT)]
    unexpected = [name for name in weights if name not in own]
    misshapen = [
        f"{name}: {list(weights[name].shape)}, expected {list(own[name].shape)}"
        for name in own
        if name in weights and weights[name].shape != own[name].shape
    ]
    problems = [
        *_listed("missing", missing),
        *_listed("unexpected", unexpected),
        *_listed("of another shape", misshapen),
    ]
    if problems:
        raise CheckpointError(f"{folder} does not fit its config.json:\n" + "\n".join(problems))
    model.load_state_dict(dict(weights), strict=False)


def _listed(title: str, names: Iterable[str]) -> list[str]:
    names = list(names)
    more = [f"  … and {len(names) - _LISTED} more"] if len(names) > _LISTED else []
    return [f"{len(names)} {title}:", *(f"  {name}" for name in names[:_LISTED]), *more] if names else []
