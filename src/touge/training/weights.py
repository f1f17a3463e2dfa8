"""Which weights are trained: all of them, or adapters; a part of the model whose loss has no weight stays as it is."""

from __future__ import annotations

from dataclasses import asdict

import torch
from torch import nn

from touge.alpamayo.model import AlpamayoR1
from touge.alpamayo.weights import lora
from touge.alpamayo.weights.quantisation import check_adapted
from touge.contract.errors import RecipeError
from touge.contract.recipe import Lora, Train
from touge.training.guards import check_adapters

#: The words' loss does not reach the expert, and the flow loss the language model only where the recipe lets it
#: (arXiv 2511.00088, section 5.1).
_LANGUAGE = ("vlm.",)
_ACTION = ("expert.", "action_in_proj.", "action_out_proj.")


def adapter_of(settings: Lora) -> lora.Adapter:
    """Return the recipe's adapters as the model knows them."""
    return lora.Adapter(**{name: getattr(settings, name) for name in asdict(_ANY)})


def choose_weights(model: AlpamayoR1, settings: Train) -> dict[str, nn.Parameter]:
    """Adapt and freeze in place; return the parameters to train, by name.

    Raises:
        RecipeError: If nothing is left to train.
        CheckpointError: If the adapters are not those that the recipe asks for, or 4 bits are asked for and missing.
    """
    if settings.method == "full":
        model.requires_grad_(True)
    else:
        _adapt(model, adapter_of(settings.lora), settings.seed)
    if settings.method == "qlora":
        check_adapted(model)
    _freeze_unweighted(model, settings)
    chosen = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not chosen:
        raise RecipeError(
            "train.lora adapts only a part of the model whose train.loss has weight 0, so nothing would be trained; "
            "give that loss a weight, or adapt the other part"
        )
    return chosen


def vision_is_frozen(settings: Train) -> bool:
    """Return whether the vision tower gives the same features all along."""
    return settings.method != "full" and settings.lora.vision == "none"


def _adapt(model: AlpamayoR1, adapter: lora.Adapter, seed: int) -> None:
    planned = lora.planned(model, adapter)
    torch.manual_seed(seed)
    lora.inject(model, adapter)
    check_adapters(model, planned)


def _freeze_unweighted(model: AlpamayoR1, settings: Train) -> None:
    still: tuple[str, ...] = ()
    if not settings.loss.trajectory:
        still += _ACTION
    if not settings.loss.reasoning + settings.loss.trajectory_tokens + settings.insulation.reach:
        still += _LANGUAGE
    for name, parameter in model.named_parameters():
        if name.startswith(still):
            parameter.requires_grad_(False)


_ANY = lora.Adapter(rank=1, alpha=1)
