"""What torch's errors mean to a person: out of memory with the smaller setting, a lost device or peer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import torch
import torch.distributed as dist

from touge.contract.errors import GpuMemoryError, InfrastructureError, TougeError
from touge.contract.figures import ROWS, Figure, figure_of
from touge.contract.recipe import Train

#: Libraries that name themselves when a peer or a device is lost behind a plain RuntimeError.
_COMMUNICATION = ("gloo", "NCCL", "ProcessGroup", "Connection closed by peer", "Connection reset by peer")

#: How CUDA and its libraries say so where torch's own allocator does not.
_NO_MEMORY = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


@contextlib.contextmanager
def explained(settings: Train, cameras: int, figures: Iterable[Figure] = ROWS) -> Iterator[None]:
    """Turn torch's errors into ours, where their meaning is known.

    Args:
        settings: Of the training, its economy as it was chosen where that is known.
        cameras: How many pictures a sample has at a time.
        figures: What trainings take.
    """
    try:
        yield
    except RuntimeError as error:  # all of torch's are
        if known := _known(error, settings, cameras, figures):
            raise known from error
        raise


def smaller(settings: Train) -> tuple[str, Train | None]:
    """Return the next smaller setting, the one that changes the result least first: what to do, and the outcome."""
    if settings.batch_size > 1:
        return _in_smaller_parts(settings)
    if settings.economy.recompute == 0:
        return _economised(settings)
    return _with_another_result(settings)


def _in_smaller_parts(settings: Train) -> tuple[str, Train]:
    step = settings.batch_size * settings.gradient_accumulation
    size = next(size for size in range(settings.batch_size // 2, 0, -1) if step % size == 0)
    more = step // size
    advice = f"train.batch_size={size} and train.gradient_accumulation={more}, the same steps in smaller parts"
    return advice, settings.model_copy(update={"batch_size": size, "gradient_accumulation": more})


def _with_another_result(settings: Train) -> tuple[str, Train | None]:
    changed = settings.model_copy
    if settings.method == "full" and settings.optimiser.states in {"float32", "bfloat16"}:
        return "train.optimiser.states=8bit", None
    if settings.flow_draws > 1:
        draws = settings.flow_draws // 2
        return f"train.flow_draws={draws}", changed(update={"flow_draws": draws})
    if settings.method == "full":
        return "resources.gpus to more, which split the weights, or train.method=lora", changed(
            update={"method": "lora"}
        )
    if settings.method == "lora":
        return "train.method=qlora", changed(update={"method": "qlora"})
    return "resources.gpu_memory to a larger card: no setting is left to make smaller", None


def _economised(settings: Train) -> tuple[str, Train]:
    """Return the settings that change no result: layers computed again, and frozen tables on the host."""
    wishes: dict[str, int | bool] = {"recompute": 1} | ({} if settings.method == "full" else {"on_host": True})
    advice = " and ".join(f"train.economy.{name}={str(value).lower()}" for name, value in wishes.items())
    economy = settings.economy.model_copy(update=wishes)
    return f"{advice}, the same steps more slowly", settings.model_copy(update={"economy": economy})


def _measured(settings: Train, cameras: int, figures: Iterable[Figure]) -> str:
    """Return what a training like this was seen to take, for a message; empty where none was."""
    again = settings.economy.recompute
    alike = (row for row in figures if again is None or ("recomputed" in row.economy) == bool(again))
    figure = figure_of(settings, cameras, alike)
    return f" ({figure.told})" if figure and figure.measured else ""


def _known(error: RuntimeError, settings: Train, cameras: int, figures: Iterable[Figure]) -> TougeError | None:
    """Return the error as one of ours, where its meaning is known."""
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError) or any(name in text for name in _NO_MEMORY):
        advice, outcome = smaller(settings)
        measured = _measured(outcome, cameras, figures) if outcome else ""
        return GpuMemoryError(f"out of GPU memory ({_first_line(error)}). Set {advice}{measured}")
    if isinstance(error, dist.DistError | torch.AcceleratorError) or any(name in text for name in _COMMUNICATION):
        return InfrastructureError(f"another process or the device was lost: {_first_line(error)}")
    return None


def _first_line(error: Exception) -> str:
    """Return an error's first line, without torch's advice about its own settings."""
    text = str(error).partition(" If reserved but unallocated memory is large")[0]
    return text.splitlines()[0] if text else type(error).__name__
