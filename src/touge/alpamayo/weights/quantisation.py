"""NF4 with double quantisation (Dettmers et al. 2023, arXiv 2305.14314), by bitsandbytes.

The linears of the decoder layers of language model and expert are kept in 4 bits; lm_head, embeddings, vision tower
and merger, action projections and norms are not. Each is quantised as its weight arrives, so that no device ever
holds more than one of them in full.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from bitsandbytes.nn import Linear4bit, Params4bit
from peft.tuners.lora.bnb import Linear4bit as Adapted4bit
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from touge.alpamayo.weights.lora import DECODER_LINEARS
from touge.contract.errors import CheckpointError, TougeError

_TARGETS = re.compile(rf"(?:vlm\.model\.language_model|expert)\.layers\.\d+\.\w+\.(?:{'|'.join(DECODER_LINEARS)})")
_SETTINGS: dict[str, Any] = {"quant_type": "nf4", "compress_statistics": True}


def prepare(model: nn.Module, compute_dtype: torch.dtype) -> None:
    """Give a model on the meta device 4-bit layers in the places of its decoder linears, without weights yet.

    Args:
        model: As built, without adapters.
        compute_dtype: In which the products are formed.
    """
    for name, linear in list(model.named_modules()):
        if isinstance(linear, nn.Linear) and _TARGETS.fullmatch(name):
            model.set_submodule(name, _layer(linear, compute_dtype))
    model.is_loaded_in_4bit = True  # type: ignore[assignment]  # what PEFT looks for


def _layer(linear: nn.Linear, compute_dtype: torch.dtype) -> Linear4bit:
    shape, bias = (linear.in_features, linear.out_features), linear.bias is not None
    layer = Linear4bit(*shape, bias=bias, compute_dtype=compute_dtype, device="meta", **_SETTINGS)
    layer.support_avx512bf16_for_cpu = False  # another layout of the weights, which training and DoRA cannot read
    return layer


def quantise(layer: Linear4bit, weight: Tensor) -> None:
    """Quantise a weight, on the device where it lies, and give it to a layer."""
    layer.weight = Params4bit(weight, requires_grad=False, module=layer, **_SETTINGS).to(weight.device)


def layers(model: nn.Module) -> dict[str, Linear4bit]:
    """Return the 4-bit layers of a model without adapters, by the names of their weights in a checkpoint."""
    return {f"{name}.weight": layer for name, layer in model.named_modules() if isinstance(layer, Linear4bit)}


@contextlib.contextmanager
def undone(model: nn.Module, read: Callable[[str], Tensor]) -> Iterator[None]:
    """Compute as the unquantised model inside the block: each layer reads its weight when it is run, and drops it.

    Args:
        model: Quantised, without adapters.
        read: Gives a checkpoint's tensor by name.
    """
    found = layers(model)
    for name, layer in found.items():
        layer.forward = partial(_exact, layer, partial(read, name))
    try:
        yield
    finally:
        for layer in found.values():
            del layer.forward


def _exact(layer: Linear4bit, read: Callable[[], Tensor], x: Tensor) -> Tensor:
    return nn.functional.linear(x, read().to(x.device, x.dtype), layer.bias)


def check_adapted(model: nn.Module) -> None:
    """Refuse 4-bit layers whose adapters are not PEFT's own for 4 bits: others train, and fail when they are merged.

    Raises:
        CheckpointError: If nothing is in 4 bits.
        TougeError: With the first names.
    """
    adapted = {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, BaseTunerLayer) and isinstance(layer.get_base_layer(), Linear4bit)
    }
    if not any(isinstance(layer, Linear4bit) for layer in model.modules()):
        raise CheckpointError("no layer of the model is in 4 bits; load the base quantised, or set train.method=lora")
    if wrong := [name for name, layer in adapted.items() if not isinstance(layer, Adapted4bit)]:
        raise TougeError(
            f"{len(wrong)} of {len(adapted)} adapted 4-bit layers, such as {wrong[0]}, have adapters of class "
            f"{type(adapted[wrong[0]]).__name__}; expected peft's for 4 bits. Use the pinned versions of peft and "
            "bitsandbytes"
        )


def parameter_count(parameter: Tensor) -> int:
    """Return how many numbers a parameter stands for; a quantised one holds two in a byte."""
    if isinstance(parameter, Params4bit) and parameter.quant_state is not None:
        return math.prod(parameter.quant_state.shape)
    return parameter.numel()
