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
from safetensors.torch import load_file, save_file
from torch import nn

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
        """Return the regular expression that adapted modules match in full.

        Raises:
            RecipeError: For linears that a tower does not have, and for adapters on nothing.
        """
        parts, problems = [], []
        for tower, (place, known) in _TOWERS.items():
            names = _names(getattr(self, tower), known)
            problems += [
                f"train.lora.{tower}: {n!r} is no linear of it; known are {', '.join(known)}"
                for n in names - set(known)
            ]
            if names:
                parts.append(f"{place}(?:{'|'.join(sorted(map(re.escape, names)))})")
        if not parts and not problems:
            problems.append("train.lora: language_model, expert and vision are all none; nothing would be trained")
        if problems:
            raise RecipeError(problems)
        return "|".join(parts)


def _names(wanted: str | tuple[str, ...], known: tuple[str, ...]) -> set[str]:
    if wanted == "all-linear":
        return set(known)
    if wanted == "none":
        return set()
    return {wanted} if isinstance(wanted, str) else set(wanted)


def inject(model: nn.Module, adapter: Adapter) -> list[nn.Parameter]:
    """Add adapters in place, freeze everything else, and return the parameters to train."""
    inject_adapter_in_model(_config(adapter), model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)
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
        CheckpointError: If they belong to another base or another prompt, or do not fit the model.
    """
    sidecar = json.loads((folder / SIDECAR).read_text(encoding="utf-8"))
    for what, ours in {"base": base_digest, "prompt": prompt_hash()}.items():
        if sidecar[what] != ours:
            raise CheckpointError(f"{folder} was trained on {what} {sidecar[what][:12]}…, this is {ours[:12]}…")
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in sidecar["adapter"].items()}
    adapter = Adapter(**fields)
    inject(model, adapter)
    state = {name.removeprefix(_PREFIX): tensor for name, tensor in load_file(folder / WEIGHTS).items()}
    expected = set(get_peft_model_state_dict(model))
    if expected != set(state):
        raise CheckpointError(f"{folder} does not fit the model: {sorted(expected ^ set(state))[:8]}")
    with torch.no_grad():
        set_peft_model_state_dict(model, state)
    return adapter


def _config(adapter: Adapter) -> LoraConfig:
    return LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules=adapter.pattern,
        bias="none",
    )
