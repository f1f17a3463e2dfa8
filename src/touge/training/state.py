"""What changes while training, and its way to a folder and back.

Random numbers are no part of it: order, noise and times follow from seed and step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from touge.contract.errors import CheckpointError
from touge.contract.recipe import Train
from touge.training.metrics import MetricsRow, read_rows, write_rows
from touge.training.optimiser import AdamW, Average, build_optimiser

WEIGHTS = "weights.safetensors"
AVERAGE = "average.safetensors"
OPTIMISER = "optimiser.pt"
METRICS = "metrics.jsonl"

#: What safetensors, torch, pickle and pydantic make of a damaged file.
_UNREADABLE = (SafetensorError, UnpicklingError, OSError, EOFError, LookupError, ValueError, RuntimeError)


@dataclass(slots=True)
class State:
    """The training so far.

    Attributes:
        step: Optimiser steps done.
        weights: What is trained, by name.
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


def save_state(state: State, folder: Path) -> None:
    """Write the state into an empty folder."""
    save_file(_on_cpu(state.weights), folder / WEIGHTS)
    torch.save(state.optimiser.state_dict(), folder / OPTIMISER)
    write_rows(state.rows, folder / METRICS)
    if state.average:
        save_file(_on_cpu(state.average.weights), folder / AVERAGE)


def restore_state(state: State, folder: Path, step: int) -> None:
    """Bring a fresh state to where `save_state` left it after `step` steps.

    Raises:
        CheckpointError: If the folder is of another model, another method or damaged.
    """
    try:
        _fill(state.weights, load_file(folder / WEIGHTS), step)
        if state.average:
            _fill(state.average.weights, load_file(folder / AVERAGE), step)
            state.average.updates = step
        state.optimiser.load_state_dict(torch.load(folder / OPTIMISER, map_location="cpu", weights_only=True))
        state.optimiser.steps = step
        state.rows = read_rows(folder / METRICS)
    except _UNREADABLE as error:
        raise CheckpointError(
            f"the checkpoint of step {step} cannot be read ({type(error).__name__}). Delete it and submit again; "
            "an earlier one is used"
        ) from error
    state.step = step


def _on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


@torch.no_grad()
def _fill(own: Mapping[str, Tensor], saved: Mapping[str, Tensor], step: int) -> None:
    different = sorted(own.keys() ^ saved.keys())
    different += [name for name in own.keys() & saved.keys() if own[name].shape != saved[name].shape]
    if different:
        listed = ", ".join(different[:4])
        raise CheckpointError(
            f"the checkpoint of step {step} is of another training: {len(different)} weights differ in name or shape "
            f"from the {len(own)} that are trained here, such as {listed}. Delete it and submit again"
        )
    for name, tensor in own.items():
        tensor.copy_(saved[name])
