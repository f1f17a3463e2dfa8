"""What this process computes with: looked up once, before anything is decided by it."""

from __future__ import annotations

import os
import shutil

import torch

from touge.alpamayo.budget.economy import Machine

_GIB = 1 << 30


def machine_of(device: torch.device) -> Machine:
    """Return the machine behind a device."""
    cuda = device.type == "cuda"
    memory = torch.cuda.get_device_properties(device).total_memory / _GIB if cuda else None
    return Machine(memory, has_compiler())


def memory_of(device: torch.device) -> dict[str, float]:
    """Return GiB of a GPU: most that torch gave away and held so far, and what is in use now by anyone; {} on a CPU.

    Torch counts recordings as held, not as given away; the driver's own share is in use only.
    """
    if device.type != "cuda":
        return {}
    free, total = torch.cuda.mem_get_info(device)
    found = {
        "allocated_gib": torch.cuda.max_memory_allocated(device),
        "reserved_gib": torch.cuda.max_memory_reserved(device),
        "used_gib": total - free,
    }
    return {name: round(size / _GIB, 2) for name, size in found.items()}


def has_compiler() -> bool:
    """Return whether there is the C compiler that Triton looks for: it builds its launcher where it runs."""
    return any(shutil.which(name) for name in (os.environ.get("CC"), "gcc", "clang") if name)
