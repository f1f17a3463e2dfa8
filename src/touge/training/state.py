"""What changes while training, and its way to a folder and back.

Each process writes the rows that it holds, as safetensors (torch's distributed checkpoint, without a pickle), and reads
those that it will hold, whoever wrote them. Random numbers are no part of it: order, noise, times and roundings follow
from seed and step.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from touge.contract.errors import CheckpointError
from touge.contract.recipe import Train
from touge.training.metrics import MetricsRow, read_rows, write_rows
from touge.training.optimiser import AdamW, Average, build_optimiser
from touge.training.sharding import local

METRICS = "metrics.jsonl"
#: A file holds about so much of a process's part: what is copied to the host's memory at once, twice.
FILE_BYTES = 1 << 30

#: What safetensors, torch and pydantic make of a damaged file.
_UNREADABLE = (SafetensorError, CheckpointException, OSError, EOFError, LookupError, ValueError, RuntimeError)


@dataclass(slots=True)
class State:
    """The training so far.

    Attributes:
        step: Optimiser steps done.
        weights: What is trained, by name; whole, or this process's rows of it.
        optimiser: Of these weights.
        average: Of these weights over time, where the recipe asks for it.
        rows: Metrics of every step done.
    """

    step: int
    weights: dict[str, nn.Parameter]
    optimiser: AdamW
    average: Average | None
    rows: list[MetricsRow]

    @classmethod
    def begin(cls, weights: dict[str, nn.Parameter], settings: Train) -> State:
        """Return the state before the first step."""
        average = Average.of(weights, settings.averaging) if settings.averaging else None
        return cls(0, weights, build_optimiser(weights, settings), average, [])

    def tensors(self) -> dict[str, Tensor]:
        """Return everything that a resumed training needs, by kind and name of the weight."""
        found = {f"weights.{name}": weight.detach() for name, weight in self.weights.items()}
        for name, weight in self.weights.items():
            found |= {f"{kind}.{name}": moment for kind, moment in self.optimiser.state[weight].items()}
        if self.average:
            found |= {f"average.{name}": average for name, average in self.average.weights.items()}
        return found


def save_state(state: State, folder: Path, *, leads: bool = True) -> None:
    """Write this process's part of the state into an empty folder; every process must, each into its own.

    Args:
        state: Of this process.
        folder: What lies in these of all processes makes the checkpoint.
        leads: Whether it also writes what is the same for all.

    Raises:
        OSError: If some process cannot write.
    """
    tensors = state.tensors()
    writer = HuggingFaceStorageWriter(str(folder), _files(tensors), save_distributed=True)
    try:
        with _maybe_alone():
            save(tensors, storage_writer=writer)
    except CheckpointException as error:  # which no `except Exception` would see
        raise next(cause for cause, _ in error.failures.values()) from error
    if leads:
        write_rows(state.rows, folder / METRICS)


def restore_state(state: State, folder: Path, step: int) -> None:
    """Bring a fresh state to where `save_state` left it after `step` steps; every process must.

    Args:
        state: Its tensors are written into.
        folder: Holds what all processes wrote, of however many there were.
        step: Which checkpoint it is.

    Raises:
        CheckpointError: If the folder is of another model, another method or damaged.
    """
    try:
        reader = HuggingFaceStorageReader(str(folder))
        tensors = state.tensors()
        _compare(tensors, reader.read_metadata().state_dict_metadata, step)
        with _maybe_alone():
            load(tensors, storage_reader=reader)
        state.rows = read_rows(folder / METRICS)
    except _UNREADABLE as error:
        raise CheckpointError(
            f"the checkpoint of step {step} cannot be read ({type(error).__name__}). Delete it and submit again; "
            "an earlier one is used"
        ) from error
    state.step = state.optimiser.steps = step
    if state.average:
        state.average.updates = step


def _files(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """Return in which file, from 1, each tensor goes."""
    placed, file, size = {}, 1, 0
    for name, tensor in tensors.items():
        if size >= FILE_BYTES:
            file, size = file + 1, 0
        placed[name], size = file, size + local(tensor).nbytes
    return placed


def _compare(own: Mapping[str, Tensor], saved: Mapping[str, object], step: int) -> None:
    wanted = {name: (tensor.shape, tensor.dtype) for name, tensor in own.items()}
    tensors = {name: tensor for name, tensor in saved.items() if isinstance(tensor, TensorStorageMetadata)}
    found = {name: (tensor.size, tensor.properties.dtype) for name, tensor in tensors.items()}
    if different := sorted({name for name, _ in wanted.items() ^ found.items()}):
        raise CheckpointError(
            f"the checkpoint of step {step} is of another training: {len(different)} tensors differ in name, shape or "
            f"type from the {len(own)} that are trained here, such as {', '.join(different[:4])}. Delete it and "
            "submit again"
        )


@contextmanager
def _maybe_alone() -> Iterator[None]:
    """Let one process be one process: torch warns of it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield
