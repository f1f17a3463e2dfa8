"""Weights that processes split among themselves (torch's FSDP2), and what this process holds of them.

A unit is gathered when its layer runs, and given up after it. Gradients are added up in float32 whatever the weights
are; nothing is cast otherwise, so weights keep the type that they were loaded in. Knows no loss and no optimiser.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from touge.alpamayo.model import AlpamayoR1


def shard(root: nn.Module, model: AlpamayoR1, *, ranks: int, device: torch.device) -> None:
    """Split the weights over all processes, in place: its parameters are others afterwards.

    Args:
        root: Computes the losses; what belongs to no unit is gathered while it runs.
        model: Inside the root, on the device.
        ranks: All processes.
        device: This process's.
    """
    mesh, policy = init_device_mesh(device.type, (ranks,)), MixedPrecisionPolicy(reduce_dtype=torch.float32)
    for unit in units(model):
        fully_shard(unit, mesh=mesh, mp_policy=policy)
    fully_shard(root, mesh=mesh, mp_policy=policy)


def units(model: AlpamayoR1) -> Iterator[nn.Module]:
    """Yield what is gathered by itself: each layer of each tower, and the two large tables."""
    text, visual = model.vlm.model.language_model, model.vlm.model.visual
    yield from (text.embed_tokens, model.vlm.lm_head, *text.layers, *model.expert.layers, *visual.blocks)


def local(tensor: Tensor) -> Tensor:
    """Return what this process holds of a tensor: all of it, or its own rows."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """Return all of a tensor; every process must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def zeros_beside(weight: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Return zeros of a shape with the weight's first size, whose rows lie where the weight's do."""
    own = torch.zeros((len(local(weight)), *shape[1:]), dtype=dtype, device=local(weight).device)
    if not isinstance(weight, DTensor):
        return own
    stride = torch.empty(shape, device="meta").stride()
    return DTensor.from_local(
        own, weight.device_mesh, weight.placements, run_check=False, shape=torch.Size(shape), stride=stride
    )


def largest(tensors: Iterable[Tensor]) -> Tensor:
    """Return the largest absolute number of each tensor, float32, infinite for NaN; every process must ask."""
    given = list(tensors)
    parts = [local(tensor) for tensor in given]
    sizes = [torch.linalg.vector_norm(part, math.inf) if part.numel() else part.new_zeros(()) for part in parts]
    found = torch.stack([size.float() for size in sizes]).nan_to_num(math.inf, math.inf)
    if any(isinstance(tensor, DTensor) for tensor in given):
        dist.all_reduce(found, dist.ReduceOp.MAX)
    return found


def place(weights: Iterable[Tensor]) -> int:
    """Return which of the processes that split these weights this one is; 0 where each holds all."""
    meshes = [weight.device_mesh for weight in weights if isinstance(weight, DTensor)]
    return meshes[0].get_local_rank() if meshes else 0


def gather(model: nn.Module, names: Iterable[str], *, keep: bool) -> None:
    """Put whole parameters in the place of split ones, one by one; every process must ask.

    Args:
        model: Is not trained any more.
        names: Of the parameters.
        keep: Whether this process wants them; the others only help.
    """
    for name in names:
        holder, _, own = name.rpartition(".")
        module = model.get_submodule(holder)
        full = whole(module.get_parameter(own).detach())
        if keep:
            module.register_parameter(own, nn.Parameter(full, requires_grad=False))
