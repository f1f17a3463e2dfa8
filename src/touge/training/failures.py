"""What torch's errors mean to a person: out of memory with the smaller setting, a lost device or peer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
import torch.distributed as dist

from touge.contract.errors import GpuMemoryError, InfrastructureError
from touge.contract.recipe import Train

#: Libraries that name themselves when a peer or a device is lost behind a plain RuntimeError.
_COMMUNICATION = ("gloo", "NCCL", "ProcessGroup", "Connection closed by peer", "Connection reset by peer")


@contextlib.contextmanager
def explained(settings: Train) -> Iterator[None]:
    """Turn torch's errors into ours, where their meaning is known."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise GpuMemoryError(f"out of GPU memory ({_first_line(error)}). {smaller(settings)}") from error
    except (dist.DistError, torch.AcceleratorError) as error:
        raise InfrastructureError(f"another process or the device was lost: {_first_line(error)}") from error
    except RuntimeError as error:
        if any(name in str(error) for name in _COMMUNICATION):
            raise InfrastructureError(f"another process was lost: {_first_line(error)}") from error
        raise


def smaller(settings: Train) -> str:
    """Return advice: the next smaller setting, the one that changes the result least first."""
    if settings.batch_size > 1:
        half = settings.batch_size // 2
        more = -(-settings.batch_size * settings.gradient_accumulation // half)
        return f"Set train.batch_size={half} and train.gradient_accumulation={more}: the same steps in smaller parts"
    if settings.flow_draws > 1:
        return f"Set train.flow_draws={settings.flow_draws // 2}"
    if settings.method != "qlora":
        return f"Set train.method={'lora' if settings.method == 'full' else 'qlora'}"
    return "Set resources.gpu_memory to a larger card: no setting is left to make smaller"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
