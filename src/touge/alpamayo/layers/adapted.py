"""Adapted linears that multiply in the type of their activations.

PEFT casts activations to the adapters' float32 and multiplies there, which costs more than the frozen product it adds
to: wide float32 copies, and no tensor cores. Here the small matrices are rounded instead, at every pass; they
themselves, their gradients and the optimiser's states stay float32.
"""

from __future__ import annotations

import functools
from typing import Any

from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

_ADAPTER = "default"


class _InActivationsType:
    """The `forward` of a PEFT linear with one plain adapter."""

    def forward(self: Any, x: Tensor) -> Tensor:
        """Return W x + B A dropout(x) alpha / rank."""
        result: Tensor = self.base_layer(x)
        if self.disable_adapters:
            return result
        a, b = self.lora_A[_ADAPTER].weight, self.lora_B[_ADAPTER].weight
        low = nn.functional.linear(self.lora_dropout[_ADAPTER](x), a.to(x.dtype)) * self.scaling[_ADAPTER]
        return result + nn.functional.linear(low, b.to(x.dtype))


@functools.cache
def _adapted(kind: Any) -> Any:
    """Return the one class for layers of a kind: compiled code is used again for layers of the same class alone."""
    return type(kind.__name__, (_InActivationsType, kind), {})


def multiply_in_activations_type(model: nn.Module) -> int:
    """Let the adapted linears of a model compute so, in place; names and weights stay. Returns how many do."""
    found = [module for module in model.modules() if isinstance(module, LoraLayer) and _is_plain(module)]
    for module in found:
        kind: Any = type(module)
        module.__class__ = _adapted(kind)
    return len(found)


def _is_plain(layer: LoraLayer) -> bool:
    """Return whether this is a linear whose only adapter is plain LoRA."""
    return (
        isinstance(layer.get_base_layer(), nn.Linear)
        and not isinstance(layer, _InActivationsType)
        and list(layer.lora_A) == [_ADAPTER]
        and not layer.lora_variant
        and not layer.lora_bias[_ADAPTER]
        and not layer.merged
    )
