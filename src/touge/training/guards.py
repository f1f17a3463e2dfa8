"""What must be true of every training before and while its first steps are done (design section 7); always on.

Pure checks: each looks at a model and raises, with what was found, what was expected and what to do. Between
`weights`, which chooses what is trained, and `loop`, which trains it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain

import torch
from torch import Tensor, nn

from touge.alpamayo.inputs.batch import Batch
from touge.alpamayo.inputs.images import negative
from touge.alpamayo.model import AlpamayoR1
from touge.alpamayo.weights.lora import is_adapter
from touge.contract.errors import CheckpointError, TougeError
from touge.training.draws import Draws
from touge.training.sharding import largest

#: Smallest relative change of the flow loss that counts: above float32's rounding, a hundredth of what noise for
#: pictures makes of a random tiny model (4e-4).
_VISIBLE = 1e-6
_LISTED = 4


def check_materialised(model: nn.Module) -> None:
    """Refuse tensors on the meta device: they have a shape and no numbers.

    Raises:
        CheckpointError: If there are any.
    """
    empty = [name for name, tensor in chain(model.named_parameters(), model.named_buffers()) if tensor.is_meta]
    if empty:
        raise CheckpointError(
            f"{len(empty)} tensors are on the meta device, expected none: {_listed(empty)}. "
            "The checkpoint did not fill them; fetch it again"
        )


def check_adapters(model: nn.Module, planned: Mapping[str, int]) -> None:
    """Compare what the adapters hold with what rank and shapes of the model ask for.

    Args:
        model: With adapters.
        planned: Parameters by tower, from `lora.planned` of the model without.

    Raises:
        CheckpointError: If a tower has nothing to adapt, or the counts differ.
    """
    if missing := [tower for tower, count in planned.items() if not count]:
        raise CheckpointError(
            f"train.lora.{', train.lora.'.join(missing)}: no linear of the model has such a name. "
            "Set it to none, or use a base of Alpamayo-R1's architecture"
        )
    expected = sum(planned.values())
    found = sum(parameter.numel() for name, parameter in model.named_parameters() if is_adapter(name))
    if found != expected:
        raise CheckpointError(
            f"the adapters have {found:,} parameters; rank and shapes of the model ask for {expected:,}. "
            "Use a base without adapters of its own, and the pinned version of peft"
        )


def check_frozen(model: nn.Module, weights: Mapping[str, Tensor], *, adapters: bool) -> None:
    """Refuse a model of which more or less is open to training than was chosen.

    Args:
        model: As it goes into the first step.
        weights: What was chosen, by name.
        adapters: Whether only adapters may be among it.

    Raises:
        TougeError: With the first names that differ.
    """
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    loose = sorted(trainable - weights.keys() | {name for name in weights if adapters and not is_adapter(name)})
    still = sorted(weights.keys() - trainable)
    if loose:
        raise TougeError(f"{len(loose)} parameters should be frozen and are not: {_listed(loose)}. {_OURS}")
    if still:
        raise TougeError(f"{len(still)} parameters should be trained and are frozen: {_listed(still)}. {_OURS}")


@torch.no_grad()
def check_sight(model: AlpamayoR1, batch: Batch, draws: Draws) -> None:
    """Compare the flow loss of a sample with that of the same sample behind other pictures, in one pass.

    Args:
        model: On the device of batch and draws; it is left in the mode that it is in.
        batch: One sample twice, with pixels.
        draws: The same for both rows.

    Raises:
        CheckpointError: If the pictures make no difference to where the model drives.
    """
    if batch.pixels is None:
        raise ValueError("the batch has no pixels")
    own, again = batch.pixels.chunk(2)
    mode = model.training
    model.eval()
    try:
        losses = model.losses(replace(batch, pixels=torch.cat([own, negative(again)])), draws.noise, draws.time)
    finally:
        model.train(mode)
    seen, other = losses.flow.mean(dim=1).tolist()
    if math.isfinite(seen - other) and abs(seen - other) <= _VISIBLE * abs(seen):
        raise CheckpointError(
            f"the flow loss of {batch.ids[0]} is {seen:.7g} with its pictures and {other:.7g} with their negatives; "
            "expected a difference. The base drives without looking: use another base"
        )


def check_gradients(model: nn.Module, weights: Mapping[str, nn.Parameter], *, begun: bool) -> None:
    """Refuse weights that the loss does not reach, and gradients of frozen ones.

    Args:
        model: That holds the weights, after the backward pass.
        weights: What is trained, by name.
        begun: Whether a step was done before. Until then a gradient may be all zero: that of LoRA's A is, for B is.

    Raises:
        TougeError: With the first names.
    """
    gradients = {name: weight.grad for name, weight in weights.items() if weight.grad is not None}
    if without := [name for name in weights if name not in gradients]:
        raise TougeError(f"{len(without)} of {len(weights)} trained parameters have no gradient: {_advice(without)}")
    if kept := [name for name, p in model.named_parameters() if p.grad is not None and not p.requires_grad]:
        raise TougeError(f"{len(kept)} frozen parameters have a gradient: {_listed(kept)}. {_OURS}")
    if begun and (zero := _all_zero(gradients)):
        raise TougeError(f"the gradients of {len(zero)} of {len(weights)} trained parameters are zero: {_advice(zero)}")


def _all_zero(gradients: Mapping[str, Tensor]) -> list[str]:
    """Return the names of gradients without any number but zero; one wait for the device. NaN is no zero."""
    return [name for name, value in zip(gradients, largest(gradients.values()).tolist(), strict=True) if value == 0]


def _advice(names: Iterable[str]) -> str:
    return (
        f"{_listed(list(names))}. Every one should follow from the loss: leave that part out (train.lora.…=none, or "
        "its train.loss.…=0), or use a base of Alpamayo-R1's architecture"
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


_OURS = "This is a fault of touge, not of the recipe; report it with the recipe"
