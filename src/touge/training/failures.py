"""What torch's errors mean to a person: out of memory with the smaller setting, a lost device or peer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
import torch.distributed as dist

from touge.contract.errors import GpuMemoryError, InfrastructureError, TougeError
from touge.contract.recipe import Train

#: Libraries that name themselves when a peer or a device is lost behind a plain RuntimeError.
_COMMUNICATION = ("gloo", "NCCL", "ProcessGroup", "Connection closed by peer", "Connection reset by peer")

#: How CUDA and its libraries say so where torch's own allocator does not.
_NO_MEMORY = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


@contextlib.contextmanager
def explained(settings: Train) -> Iterator[None]:
    """Turn torch's errors into ours, where their meaning is known."""
    try:
        yield
    except RuntimeError as error:  # all of torch's are
        if known := _known(error, settings):
            raise known from error
        raise


def smaller(settings: Train) -> str:
    """Return advice: the next smaller setting, the one that changes the result least first."""
    if settings.batch_size > 1:
        step = settings.batch_size * settings.gradient_accumulation
        size = next(size for size in range(settings.batch_size // 2, 0, -1) if step % size == 0)
        more = step // size
        return f"Set train.batch_size={size} and train.gradient_accumulation={more}: the same steps in smaller parts"
    if settings.flow_draws > 1:
        return f"Set train.flow_draws={settings.flow_draws // 2}"
    if settings.method != "qlora":
        return f"Set train.method={'lora' if settings.method == 'full' else 'qlora'}"
    return "Set resources.gpu_memory to a larger card: no setting is left to make smaller"


def _known(error: RuntimeError, settings: Train) -> TougeError | None:
    """Return the error as one of ours, where its meaning is known."""
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError) or any(name in text for name in _NO_MEMORY):
        return GpuMemoryError(f"out of GPU memory ({_first_line(error)}). {smaller(settings)}")
    if isinstance(error, dist.DistError | torch.AcceleratorError) or any(name in text for name in _COMMUNICATION):
        return InfrastructureError(f"another process or the device was lost: {_first_line(error)}")
    return None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
