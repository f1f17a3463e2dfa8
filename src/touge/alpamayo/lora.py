"""LoRA (Hu et al. 2021, arXiv 2106.09685) by PEFT, in place, on language model and action expert.

Adapters are float32 and saved in PEFT's own format, so that a stock `PeftModel` reads them, with a sidecar
that says which base they belong to.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model, set_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from touge.alpamayo.config import read_json
from touge.alpamayo.prompt import prompt_hash
from touge.contract.errors import CheckpointError, RecipeError

WEIGHTS = "adapter_model.safetensors"
SIDECAR = "touge.json"
_PREFIX = "base_model.model."

#: Attention and MLP of a decoder layer: what `all-linear` means.
DECODER_LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_VISION_LINEARS = ("qkv", "proj", "linear_fc1", "linear_fc2")

_TOWERS = {
    "language_model": (r"vlm\.model\.language_model\.layers\.\d+\.\w+\.", DECODER_LINEARS),
    "expert": (r"expert\.layers\.\d+\.\w+\.", DECODER_LINEARS),
    "vision": (r"vlm\.model\.visual\.blocks\.\d+\.\w+\.", _VISION_LINEARS),
}


@dataclass(frozen=True, slots=True)
class Adapter:
    """How the adapters are made: `all-linear`, `none` or names of linears for each tower."""

    rank: int
    alpha: float
    dropout: float = 0.0
    language_model: str | tuple[str, ...] = "all-linear"
    expert: str | tuple[str, ...] = "all-linear"
    vision: str | tuple[str, ...] = "none"

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
                for n in names - set(known)
            ]
            if names:
                parts[tower] = f"{place}(?:{'|'.join(sorted(map(re.escape, names)))})"
        if not parts and not problems:
            problems.append("train.lora: language_model, expert and vision are all none; nothing would be trained")
        if problems:
            raise RecipeError(problems)
        return parts


def _names(wanted: str | tuple[str, ...], known: tuple[str, ...]) -> set[str]:
    if wanted == "all-linear":
        return set(known)
    if wanted == "none":
        return set()
    return {wanted} if isinstance(wanted, str) else set(wanted)


def planned(model: nn.Module, adapter: Adapter) -> dict[str, int]:
    """Return how many parameters the adapters of each tower will have, for a model without adapters.

    A linear of n inputs and m outputs gets rank (n + m) (arXiv 2106.09685, section 4.1).
    """
    linears = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    return {
        tower: sum(
            adapter.rank * (linear.in_features + linear.out_features)
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
            parameter.data = parameter.data.float()
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


def save_adapter(model: nn.Module, adapter: Adapter, folder: Path, *, base_digest: str) -> None:
    """Write PEFT's two files and the sidecar."""
    folder.mkdir(parents=True, exist_ok=True)
    _config(adapter).save_pretrained(str(folder))
    state = get_peft_model_state_dict(model)
    save_file({f"{_PREFIX}{name}": t.detach().cpu().contiguous() for name, t in state.items()}, folder / WEIGHTS)
    sidecar = {"schema": "touge.adapter/1", "base": base_digest, "prompt": prompt_hash(), "adapter": asdict(adapter)}
    (folder / SIDECAR).write_text(json.dumps(sidecar, indent=1) + "\n", encoding="utf-8")


def load_adapter(model: nn.Module, folder: Path, *, base_digest: str) -> Adapter:
    """Add saved adapters in place.

    Raises:
        CheckpointError: If they belong to another base or another prompt, are damaged, or do not fit the model.
    """
    adapter, state = _read_sidecar(folder, base_digest), _read_weights(folder)
    inject(model, adapter)
    expected = {name: tensor.shape for name, tensor in get_peft_model_state_dict(model).items()}
    found = {name: tensor.shape for name, tensor in state.items()}
    if different := sorted(dict(expected.items() ^ found.items())):
        raise CheckpointError(
            f"{folder} does not fit the model: {', '.join(different[:8])}. Use the base it belongs to"
        )
    with torch.no_grad():
        set_peft_model_state_dict(model, state)
    return adapter


def _read_sidecar(folder: Path, base_digest: str) -> Adapter:
    sidecar = read_json(folder / SIDECAR)
    for what, ours in {"base": base_digest, "prompt": prompt_hash()}.items():
        theirs = str(sidecar.get(what))
        if theirs != ours:
            raise CheckpointError(f"{folder} was trained on {what} {theirs[:12]}…, this is {ours[:12]}…")
    try:
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in sidecar["adapter"].items()}
        return Adapter(**fields)
    except (KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{folder / SIDECAR} describes no adapter of ours ({error}); fetch it again") from error


def _read_weights(folder: Path) -> dict[str, torch.Tensor]:
    try:
        return {name.removeprefix(_PREFIX): tensor for name, tensor in load_file(folder / WEIGHTS).items()}
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{folder / WEIGHTS} is missing or damaged ({error}); fetch the adapter again") from error


def _config(adapter: Adapter) -> LoraConfig:
    return LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules=adapter.pattern,
        bias="none",
    )
