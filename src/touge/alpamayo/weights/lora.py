"""LoRA (Hu et al. 2021, arXiv 2106.09685) by PEFT, in place, on language model and action expert.

Adapters are saved in PEFT's own format, so that a stock `PeftModel` reads them, with a sidecar that says which base
they belong to. Variants by name: rank-stabilised (Kalajdzievski 2023, arXiv 2312.03732) and weight-decomposed
(Liu et al. 2024, arXiv 2402.09353).
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model, set_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from touge.alpamayo.config import read_json
from touge.alpamayo.inputs.prompt import prompt_hash
from touge.alpamayo.model import AlpamayoR1
from touge.contract.errors import CheckpointError, RecipeError

WEIGHTS = "adapter_model.safetensors"
SIDECAR = "touge.json"
#: Before each name in PEFT's file.
PREFIX = "base_model.model."

#: Attention and MLP of a decoder layer: what `all-linear` means.
DECODER_LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_VISION_LINEARS = ("qkv", "proj", "linear_fc1", "linear_fc2")

#: The input's trunk is Linear, SiLU, then blocks of RMSNorm, Linear, SiLU: every third module is a linear.
_THIRD = "(?:[0369]|[147][258]|[258][147]|[369][0369])"
_ACTION_LINEARS = {
    "action_in_proj": rf"action_in_proj\.encoder\.trunk\.{_THIRD}",
    "action_out_proj": "action_out_proj",
}

#: Where each part of the model has its linears, and their patterns by the names that a recipe gives them.
_TOWERS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "language_model": (r"vlm\.model\.language_model\.layers\.\d+\.\w+\.", {n: n for n in DECODER_LINEARS}),
    "expert": (r"expert\.layers\.\d+\.\w+\.", {n: n for n in DECODER_LINEARS}),
    "vision": (r"vlm\.model\.visual\.blocks\.\d+\.\w+\.", {n: n for n in _VISION_LINEARS}),
    "action_projections": ("", _ACTION_LINEARS),
}
VARIANTS = ("lora", "rslora", "dora")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Adapter:
    """How the adapters are made: `all-linear`, `none` or names of linears for each tower.

    Raises:
        ValueError: If variant or type are none that there are.
    """

    rank: int
    alpha: float
    dropout: float = 0.0
    language_model: str | tuple[str, ...] = "all-linear"
    expert: str | tuple[str, ...] = "all-linear"
    vision: str | tuple[str, ...] = "none"
    variant: str = "lora"
    action_projections: str | tuple[str, ...] = "none"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS or self.dtype not in DTYPES:
            message = f"adapters of variant {self.variant!r} in {self.dtype!r}"
            raise ValueError(message)

    @property
    def scaling(self) -> float:
        """Factor on the product of the two matrices: alpha / rank, or alpha / sqrt(rank) of the rank-stabilised."""
        return self.alpha / (math.sqrt(self.rank) if self.variant == "rslora" else self.rank)

    @property
    def pattern(self) -> str:
        """Return the regular expression that adapted modules match in full; raises as `patterns` does."""
        return "|".join(self.patterns.values())

    @property
    def patterns(self) -> dict[str, str]:
        """Return the regular expression of each tower that is adapted.

        Raises:
            RecipeError: For linears that a tower does not have, and for adapters on nothing.
        """
        parts: dict[str, str] = {}
        problems = []
        for tower, (place, known) in _TOWERS.items():
            names = _names(getattr(self, tower), known)
            problems += [
                f"train.lora.{tower}: {n!r} is no linear of it; known are {', '.join(known)}"
                for n in names - known.keys()
            ]
            if found := sorted(names & known.keys()):
                parts[tower] = f"{place}(?:{'|'.join(known[name] for name in found)})"
        if not parts and not problems:
            problems.append(f"train.lora: {', '.join(_TOWERS)} are all none; nothing would be trained")
        if problems:
            raise RecipeError(problems)
        return parts


def _names(wanted: str | tuple[str, ...], known: Collection[str]) -> set[str]:
    if wanted == "all-linear":
        return set(known)
    if wanted == "none":
        return set()
    return {wanted} if isinstance(wanted, str) else set(wanted)


def planned(model: nn.Module, adapter: Adapter) -> dict[str, int]:
    """Return how many parameters the adapters of each tower will have, for a model without adapters.

    A linear of n inputs and m outputs gets rank (n + m) (arXiv 2106.09685, section 4.1), and m magnitudes where
    they are trained apart (arXiv 2402.09353, section 4).
    """
    magnitudes = adapter.variant == "dora"
    linears = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    return {
        tower: sum(
            adapter.rank * (linear.in_features + linear.out_features) + magnitudes * linear.out_features
            for name, linear in linears.items()
            if re.fullmatch(pattern, name)
        )
        for tower, pattern in adapter.patterns.items()
    }


def is_adapter(name: str) -> bool:
    """Whether a parameter of this name is an adapter's."""
    return "lora_" in name


def inject(model: nn.Module, adapter: Adapter) -> list[nn.Parameter]:
    """Add adapters in place, freeze everything else, and return the parameters to train."""
    inject_adapter_in_model(_config(adapter), model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(is_adapter(name))
        if parameter.requires_grad:
            parameter.data = parameter.data.to(DTYPES[adapter.dtype])
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


@contextlib.contextmanager
def adapters_disabled(model: nn.Module) -> Iterator[None]:
    """Compute as the base model inside the block."""
    layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


def save_adapter(model: AlpamayoR1, adapter: Adapter, folder: Path, *, base_digest: str) -> None:
    """Write PEFT's two files and the sidecar."""
    folder.mkdir(parents=True, exist_ok=True)
    _config(adapter).save_pretrained(str(folder))
    state = get_peft_model_state_dict(model)
    save_file({f"{PREFIX}{name}": t.detach().cpu().contiguous() for name, t in state.items()}, folder / WEIGHTS)
    prompt = prompt_hash(model.config.family)
    sidecar = {"schema": "touge.adapter/1", "base": base_digest, "prompt": prompt, "adapter": asdict(adapter)}
    (folder / SIDECAR).write_text(json.dumps(sidecar, indent=1) + "\n", encoding="utf-8")


def load_adapter(model: AlpamayoR1, folder: Path, *, base_digest: str) -> Adapter:
    """Add saved adapters in place.

    Raises:
        CheckpointError: If they belong to another base or another prompt, are damaged, or do not fit the model.
    """
    adapter, state = read_sidecar(folder, base_digest, model.config.family), _read_weights(folder)
    inject(model, adapter)
    check_fit(model, {name: tuple(tensor.shape) for name, tensor in state.items()}, folder)
    with torch.no_grad():
        set_peft_model_state_dict(model, state)
    return adapter


def check_fit(model: nn.Module, found: Mapping[str, tuple[int, ...]], folder: Path) -> None:
    """Compare saved adapters, shapes by name, with those that were injected into a model.

    Raises:
        CheckpointError: With the first names that differ.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in get_peft_model_state_dict(model).items()}
    if different := sorted(dict(expected.items() ^ found.items())):
        raise CheckpointError(
            f"{folder} does not fit the model: {', '.join(different[:8])}. Use the base it belongs to"
        )


def merged(weight: Tensor, adapter: Adapter, a: Tensor, b: Tensor, magnitude: Tensor | None = None) -> Tensor:
    """Return the weight that computes what a linear and its adapter do together, rounded once.

    Args:
        weight: [m, n], of the base.
        adapter: How it was made.
        a: [rank, n].
        b: [m, rank].
        magnitude: [m], where it is trained apart: the norms of the merged rows (arXiv 2402.09353, equation 5).
    """
    total = weight.float() + adapter.scaling * (b.float() @ a.float())
    if magnitude is not None:
        total *= (magnitude.float() / torch.linalg.norm(total, dim=1))[:, None]
    return total.to(weight.dtype)


def read_sidecar(folder: Path, base_digest: str, family: str) -> Adapter:
    """Return how saved adapters were made.

    Args:
        folder: Of the adapters.
        base_digest: Of the base that they are for, as a plan names it.
        family: Of that base.

    Raises:
        CheckpointError: If they belong to another base or another prompt, or the sidecar is damaged.
    """
    sidecar = read_json(folder / SIDECAR)
    for what, ours in {"base": base_digest, "prompt": prompt_hash(family)}.items():
        theirs = str(sidecar.get(what))
        if theirs != ours:
            raise CheckpointError(f"{folder} was trained on {what} {theirs[:12]}…, this is {ours[:12]}…")
    try:
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in sidecar["adapter"].items()}
        return Adapter(**fields)
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / SIDECAR} describes no adapter of ours ({error}); fetch it again") from error


def _read_weights(folder: Path) -> dict[str, Tensor]:
    try:
        return {name.removeprefix(PREFIX): tensor for name, tensor in load_file(folder / WEIGHTS).items()}
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{folder / WEIGHTS} is missing or damaged ({error}); fetch the adapter again") from error


def _config(adapter: Adapter) -> LoraConfig:
    return LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules=adapter.pattern,
        bias="none",
        use_rslora=adapter.variant == "rslora",
        use_dora=adapter.variant == "dora",
    )
