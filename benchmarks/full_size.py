"""Alpamayo-R1 at full size with random weights, made where it runs, and batches of its shape; a tiny one alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from touge.alpamayo.config import AlpamayoConfig
from touge.alpamayo.inputs.batch import Batch
from touge.alpamayo.inputs.positions import rope_positions
from touge.alpamayo.inputs.vocabulary import SPECIAL_NAMES
from touge.alpamayo.model import AlpamayoR1
from touge.alpamayo.weights import checkpoint

_HISTORY, _FUTURE, _ANSWER_END = 48, 128, 2
#: Text around images and history: system and user header, prompt, assistant header.
_HEADER, _PROMPT = 40, 55
_FRAMES = 4


@dataclass(frozen=True, slots=True)
class Sizes:
    """Everything that a count of operations needs; grids in patches."""

    layers: int = 36
    hidden: int = 4096
    mlp: int = 12288
    heads: int = 32
    kv_heads: int = 8
    head_dim: int = 128
    expert_hidden: int = 2048
    expert_mlp: int = 8256
    expert_heads: int = 16
    vision_depth: int = 27
    vision_hidden: int = 1152
    vision_mlp: int = 4304
    vision_heads: int = 16
    vision_positions: int = 2304
    deepstack: tuple[int, ...] = (8, 16, 24)
    words: int = 151_669
    bins: tuple[int, int] = (3000, 1000)
    grid: tuple[int, int] = (20, 36)

    @property
    def vocabulary(self) -> int:
        """All ids."""
        return self.words + sum(self.bins) + len(SPECIAL_NAMES) - 1

    @property
    def tokens_an_image(self) -> int:
        """After merging."""
        return self.grid[0] * self.grid[1] // 4

    @property
    def patches_an_image(self) -> int:
        """Before merging."""
        return self.grid[0] * self.grid[1]


FULL = Sizes()
TINY = Sizes(
    layers=2, hidden=64, mlp=96, heads=4, kv_heads=2, head_dim=16, expert_hidden=32, expert_mlp=48, expert_heads=4,
    vision_depth=2, vision_hidden=32, vision_mlp=64, vision_heads=2, vision_positions=16, deepstack=(0,), words=400,
    bins=(64, 32), grid=(4, 4),
)  # fmt: skip


def build(sizes: Sizes, device: torch.device, dtype: torch.dtype, *, four_bit: bool = False) -> AlpamayoR1:
    """Return a model with random weights, made on its device in its type or 4 bits; buffers stay float32."""
    config = AlpamayoConfig.parse(_document(sizes))
    if four_bit:
        return _quantised(config, device, dtype).train()
    usual = torch.get_default_dtype()
    torch.manual_seed(0)
    torch.set_default_dtype(dtype)
    try:
        with device:
            model = AlpamayoR1(config)
    finally:
        torch.set_default_dtype(usual)
    checkpoint.cast(model, dtype)
    loose = [name for name, buffer in model.named_buffers() if buffer.is_floating_point() and buffer.dtype != usual]
    if loose:
        raise TypeError(f"buffers that are not {usual}: {loose}")
    return model.train()


@torch.no_grad()
def _quantised(config: AlpamayoConfig, device: torch.device, dtype: torch.dtype) -> AlpamayoR1:
    """Return a model whose weights are made and quantised one after the other, as a checkpoint's are on arrival."""
    from touge.alpamayo.weights import quantisation

    torch.manual_seed(0)
    with torch.device("meta"):
        model = AlpamayoR1(config)
    quantisation.prepare(model, dtype)
    layers = quantisation.layers(model)
    for name, parameter in list(model.named_parameters()):
        weight = torch.randn(parameter.shape, dtype=dtype, device=device).mul_(0.02)
        if name in layers:
            quantisation.quantise(layers[name], weight)
            continue
        owner, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(owner), leaf, nn.Parameter(weight + 1 if "norm" in owner else weight))
    return model.to(device)


def batches(
    sizes: Sizes, model: AlpamayoR1, *, cameras: int, rows: int, count: int, answered: bool = True
) -> list[Batch]:
    """Return batches on the host, pinned where there is a GPU, with 14 to 26 words of reasoning a row."""
    dice = np.random.default_rng(0)
    return [
        _batch(sizes, model, cameras, [int(n) for n in dice.integers(14, 27, rows)], dice, answered=answered)
        for _ in range(count)
    ]


def _batch(
    sizes: Sizes, model: AlpamayoR1, cameras: int, words: list[int], dice: np.random.Generator, *, answered: bool
) -> Batch:
    rows = [_row(sizes, model, cameras * _FRAMES, count, dice, answered=answered) for count in words]
    images, length = cameras * _FRAMES * len(rows), max(len(ids) for ids, *_ in rows)
    grid = torch.tensor([(1, *sizes.grid)] * images)

    def padded(index: int) -> Tensor:
        return torch.stack([torch.nn.functional.pad(row[index], (length - row[index].shape[-1], 0)) for row in rows])

    ids = padded(0)
    answer = _FUTURE + _ANSWER_END if answered else 0
    batch = Batch(
        ids=tuple(f"sample-{number}" for number in range(len(rows))),
        input_ids=ids,
        attention_mask=torch.arange(length) >= torch.tensor([length - len(row[0]) for row in rows])[:, None],
        labels=padded(1).bool(),
        reasoning=padded(2).bool(),
        positions=padded(3).transpose(0, 1),
        prefix=length - answer,
        history=torch.zeros(len(rows), 16, 4),
        action=torch.randn(len(rows), *model.config.action_shape) if answered else torch.empty(len(rows), 0),
        pixels=torch.from_numpy(dice.integers(0, 256, (images * sizes.patches_an_image, 3 * 16 * 16), np.uint8)),
        grid=grid,
    )
    return batch.pinned() if torch.cuda.is_available() else batch


def _row(
    sizes: Sizes, model: AlpamayoR1, images: int, words: int, dice: np.random.Generator, *, answered: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return ids, labels, reasoning and positions of one window."""
    names = model.vocabulary

    def text(count: int) -> list[int]:
        return dice.integers(10, names.trajectory_start - 20, count).tolist()

    def bins(count: int, first: int, size: int) -> list[int]:
        return (names.trajectory_start + first + dice.integers(0, size, count)).tolist()

    one_image = [8, *[names.image] * sizes.tokens_an_image, 9]
    history = [names.history_start, *bins(_HISTORY, sizes.bins[0], sizes.bins[1]), names.history_end]
    question = [*text(_HEADER), *one_image * images, *history, *text(_PROMPT), names.cot_start]
    ids, ends = question, len(question)
    if answered:
        ids = [*ids, *text(words), names.cot_end, names.future_start]
        ends = len(ids) - 1
        ids = [*ids, *bins(_FUTURE, 0, sizes.bins[0]), names.future_end, 3]
    columns = np.arange(len(ids))
    labels = (columns >= len(question) - 1) & answered
    positions = rope_positions(np.array(ids) == names.image, np.array([(1, *sizes.grid)] * images), 2)
    return tuple(map(torch.from_numpy, (np.array(ids), labels, labels & (columns < ends), positions)))  # type: ignore[return-value]


def _document(sizes: Sizes) -> dict[str, Any]:
    """Return `config.json`."""
    first = sizes.words + sum(sizes.bins)
    ids = {name: first + index for index, name in enumerate(SPECIAL_NAMES)}
    roles = ("history", "future", "history_start", "future_start", "history_end", "future_end")
    space = {"_target_": "UnicycleAccelCurvatureActionSpace", "curvature_std": 0.02}
    return {
        "model_type": "alpamayo_r1",
        "vlm_config": _backbone(sizes),
        "vocab_size": sizes.vocabulary,
        "traj_vocab_size": sum(sizes.bins),
        "traj_token_start_idx": sizes.words,
        "traj_token_ids": {role: ids[f"traj_{role}"] for role in roles},
        "tokens_per_history_traj": _HISTORY,
        "tokens_per_future_traj": _FUTURE,
        "expert_cfg": {
            "hidden_size": sizes.expert_hidden,
            "intermediate_size": sizes.expert_mlp,
            "num_attention_heads": sizes.expert_heads,
            "head_dim": sizes.head_dim,
        },
        "action_space_cfg": space,
        "action_in_proj_cfg": {"_target_": "PerWaypointActionInProjV2"},
        "action_out_proj_cfg": {"_target_": "Linear"},
        "diffusion_cfg": {"_target_": "FlowMatching"},
        "traj_tokenizer_cfg": {
            "_target_": "DiscreteTrajectoryTokenizer",
            "action_space_cfg": space,
            "num_bins": sizes.bins[0],
        },
        "hist_traj_tokenizer_cfg": {"_target_": "DeltaTrajectoryTokenizer", "num_bins": sizes.bins[1]},
    }


def _backbone(sizes: Sizes) -> dict[str, Any]:
    half = sizes.head_dim // 2
    sections = [half - 2 * (5 * half // 16), 5 * half // 16, 5 * half // 16]
    return {
        "image_token_id": sizes.words - 14,
        "video_token_id": sizes.words - 13,
        "vision_start_token_id": 8,
        "vision_end_token_id": 9,
        "tie_word_embeddings": False,
        "text_config": {
            "attention_bias": False,
            "head_dim": sizes.head_dim,
            "hidden_act": "silu",
            "hidden_size": sizes.hidden,
            "intermediate_size": sizes.mlp,
            "max_position_embeddings": 262_144,
            "num_attention_heads": sizes.heads,
            "num_hidden_layers": sizes.layers,
            "num_key_value_heads": sizes.kv_heads,
            "rms_norm_eps": 1e-6,
            "rope_theta": 5_000_000,
            "rope_scaling": {"rope_type": "default", "mrope_interleaved": True, "mrope_section": sections},
        },
        "vision_config": {
            "deepstack_visual_indexes": list(sizes.deepstack),
            "depth": sizes.vision_depth,
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": sizes.vision_hidden,
            "in_channels": 3,
            "intermediate_size": sizes.vision_mlp,
            "num_heads": sizes.vision_heads,
            "num_position_embeddings": sizes.vision_positions,
            "out_hidden_size": sizes.hidden,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
    }
