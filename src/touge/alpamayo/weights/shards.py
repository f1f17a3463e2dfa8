"""The safetensors files of a checkpoint, tensor by tensor, in and out: never a whole file in memory.

Reading looks at the headers of all files first, so that a missing or truncated one is noticed before any weight is
read. Writing needs names, shapes and types beforehand, and asks for one tensor after the other. Knows no model.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from touge.alpamayo.config import read_json
from touge.contract.errors import CheckpointError

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
#: Size of one file, as the release and transformers have it.
FILE_BYTES = 5 * 10**9
#: Names of types in a header (https://github.com/huggingface/safetensors).
_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


@dataclass(frozen=True, slots=True)
class Spec:
    """What a tensor is, without its numbers."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def size(self) -> int:
        """Bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Shards:
    """All tensors of a folder's files, none of them in memory.

    Attributes:
        specs: By name, file by file in the order of their numbers.
        files: Where each lies.
    """

    specs: Mapping[str, Spec]
    files: Mapping[str, Path]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read the headers of a checkpoint's files, one or several with an index; raises as `of` does."""
        return cls.of(weight_files(folder))

    @classmethod
    def of(cls, paths: Iterable[Path]) -> Self:
        """Read the headers of files.

        Raises:
            CheckpointError: If a file is missing, truncated or holds what another one holds, too.
        """
        specs: dict[str, Spec] = {}
        files: dict[str, Path] = {}
        for path in paths:
            found = _read_header(path)
            if twice := sorted(specs.keys() & found.keys()):
                raise CheckpointError(f"{path} and {files[twice[0]]} both hold {twice[0]}; fetch the checkpoint again")
            specs |= found
            files |= dict.fromkeys(found, path)
        return cls(specs, files)

    def read(self, name: str) -> Tensor:
        """Return one tensor, on the CPU. The file is closed again: an open one keeps what was read of it in memory."""
        path = self.files[name]
        with _explained(path), safe_open(path, framework="pt") as file:
            tensor: Tensor = file.get_tensor(name)
        return tensor


def weight_files(folder: Path) -> list[Path]:
    """Return the paths of a checkpoint's safetensors files, those that its index names where it has one.

    Raises:
        CheckpointError: If there are none.
    """
    if (folder / INDEX).is_file():
        named = read_json(folder / INDEX).get("weight_map")
        if not isinstance(named, dict):
            raise CheckpointError(f"{folder / INDEX} has no `weight_map`; fetch the checkpoint again")
        return [folder / str(name) for name in sorted(set(named.values()))]
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    raise CheckpointError(f"{folder} holds neither {WEIGHTS} nor {INDEX}; it is no checkpoint")


def write_shards(
    folder: Path, specs: Mapping[str, Spec], read: Callable[[str], Tensor], *, limit: int = FILE_BYTES
) -> None:
    """Write a checkpoint's files; whatever fails, none is left half-written, and the last to appear completes them.

    Args:
        folder: Exists already.
        specs: What the tensors are; the order is that of the files.
        read: Gives a tensor by name, asked for once each; another type is converted.
        limit: Bytes of one file; a larger tensor has a file of its own.
    """
    parts = split(specs, limit)
    count = len(parts)
    names = [f"model-{i:05}-of-{count:05}.safetensors" for i in range(1, count + 1)] if count > 1 else [WEIGHTS]
    complete = [*names, INDEX] if count > 1 else names
    try:
        for name, part in zip(names, parts, strict=True):
            _write_file(_partial(folder / name), part, read)
        if count > 1:
            _partial(folder / INDEX).write_text(_index(names, parts), encoding="utf-8")
        for name in complete:
            _partial(folder / name).replace(folder / name)
    finally:
        for name in complete:
            _partial(folder / name).unlink(missing_ok=True)


def split(specs: Mapping[str, Spec], limit: int) -> list[dict[str, Spec]]:
    """Deal tensors out to files of at most `limit` bytes, in their order."""
    parts: list[dict[str, Spec]] = [{}]
    size = 0
    for name, spec in specs.items():
        if parts[-1] and size + spec.size > limit:
            parts.append({})
            size = 0
        parts[-1][name] = spec
        size += spec.size
    return parts


def _read_header(path: Path) -> dict[str, Spec]:
    """Return what a file holds; safetensors compares its size with its header."""
    with _explained(path), safe_open(path, framework="pt") as file:
        slices = {name: file.get_slice(name) for name in file.offset_keys()}
        kinds = {name: str(part.get_dtype()) for name, part in slices.items()}
        shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
    if foreign := sorted(name for name, kind in kinds.items() if kind not in _DTYPES):
        raise CheckpointError(
            f"{path}: {len(foreign)} tensors such as {foreign[0]} are of type {kinds[foreign[0]]}; known are "
            f"{', '.join(_DTYPES)}. Use the checkpoint that is not quantised"
        )
    return {name: Spec(shapes[name], _DTYPES[kinds[name]]) for name in kinds}


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing, but should be there; fetch it again") from error
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged or truncated ({error}); fetch the checkpoint again") from error


def _write_file(path: Path, specs: Mapping[str, Spec], read: Callable[[str], Tensor]) -> None:
    """Write one file: length of the header, header, and the tensors' bytes, those of wide types first (aligned)."""
    ordered = sorted(specs.items(), key=lambda item: -item[1].dtype.itemsize)
    with path.open("wb") as file:
        header = _header(ordered)
        file.write(len(header).to_bytes(8, "little") + header)
        for name, spec in ordered:
            file.write(_bytes(name, spec, read(name)))


def _header(ordered: list[tuple[str, Spec]]) -> bytes:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, spec in ordered:
        header[name] = {"dtype": _NAMES[spec.dtype], "shape": spec.shape, "data_offsets": (end, end + spec.size)}
        end += spec.size
    text = json.dumps(header, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)


def _bytes(name: str, spec: Spec, tensor: Tensor) -> memoryview:
    if tuple(tensor.shape) != spec.shape:
        raise ValueError(f"{name} is {tuple(tensor.shape)}, announced as {spec.shape}")
    converted = tensor.detach().to("cpu", spec.dtype).contiguous()
    return converted.flatten().view(torch.uint8).numpy().data


def _index(names: list[str], parts: list[dict[str, Spec]]) -> str:
    total = sum(spec.size for part in parts for spec in part.values())
    places = {tensor: name for name, part in zip(names, parts, strict=True) for tensor in part}
    return json.dumps({"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}, indent=2) + "\n"


def _partial(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")
