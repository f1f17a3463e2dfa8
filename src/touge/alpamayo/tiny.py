"""A model small enough for a laptop: the same architecture, with a configuration and a tokenizer of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from touge.alpamayo.config import R1
from touge.alpamayo.inputs.tokenizer import extend
from touge.alpamayo.inputs.vocabulary import SPECIAL_NAMES


@dataclass(frozen=True, slots=True)
class TinySizes:
    """What differs from the release. Pixels are those of one frame; `max_freq` in cycles a normalised action.

    One step of the flow, for every further one adds spread where the velocity is learnt in minutes. Acceleration
    (m/s^2) and curvature (1/m) are divided by what they vary by on the demo's roads: the flow learns a normalised
    action to about a hundredth of its noise, and what is left of that is metres after six seconds
    (docs/decisions/003).
    """

    hidden: int = 96
    mlp: int = 256
    layers: int = 3
    heads: int = 3
    head_dim: int = 32
    vision_depth: int = 2
    vision_hidden: int = 64
    expert_hidden: int = 64
    expert_mlp: int = 192
    projection_hidden: int = 64
    max_freq: float = 0.1
    future_bins: int = 256
    history_bins: int = 128
    pixels: int = 192 * 64
    initializer_range: float = 0.06
    accel_std: float = 0.5
    curvature_std: float = 0.01
    flow_steps: int = 1


def tiny_document(tokenizer: Tokenizer, sizes: TinySizes, family: str = R1) -> dict[str, Any]:
    """Return `config.json` of a tiny model; the tokenizer is extended by its trajectory vocabulary.

    Args:
        tokenizer: As `train_tiny_tokenizer` returns it, not extended.
        sizes: Widths, depths and bins.
        family: One of `config.FAMILIES`.
    """
    start = tokenizer.get_vocab_size()
    vocabulary = sizes.future_bins + sizes.history_bins
    extend(tokenizer, vocabulary, family)
    first = start + vocabulary
    ids = {name: first + index for index, name in enumerate(SPECIAL_NAMES)}
    roles = ("history", "future", "history_start", "future_start", "history_end", "future_end")
    space = _action_space(sizes)
    return {
        "model_type": family,
        "model_dtype": "float32",
        "vlm_config": _backbone(tokenizer, sizes),
        "vocab_size": tokenizer.get_vocab_size(),
        "traj_vocab_size": vocabulary,
        "traj_token_start_idx": start,
        "traj_token_ids": {role: ids[f"traj_{role}"] for role in roles},
        "tokens_per_history_traj": 48,
        "tokens_per_future_traj": 128,
        "add_special_tokens": True,
        "min_pixels": sizes.pixels,
        "max_pixels": sizes.pixels,
        "keep_same_dtype": True,
        "expert_non_causal_attention": True,
        "expert_cfg": {
            "hidden_size": sizes.expert_hidden,
            "intermediate_size": sizes.expert_mlp,
            "num_attention_heads": max(1, sizes.expert_hidden // sizes.head_dim),
            "head_dim": sizes.head_dim,
        },
        "action_space_cfg": space,
        "action_in_proj_cfg": {
            "_target_": "PerWaypointActionInProjV2",
            "hidden_size": sizes.projection_hidden,
            "num_enc_layers": 4,
            "max_freq": sizes.max_freq,
            "num_fourier_feats": 20,
        },
        "action_out_proj_cfg": {"_target_": "Linear"},
        "diffusion_cfg": {"_target_": "FlowMatching", "num_inference_steps": sizes.flow_steps},
        "traj_tokenizer_cfg": {
            "_target_": "DiscreteTrajectoryTokenizer",
            "action_space_cfg": space,
            "dims_min": [-10, -10],
            "dims_max": [10, 10],
            "num_bins": sizes.future_bins,
        },
        "hist_traj_tokenizer_cfg": {"_target_": "DeltaTrajectoryTokenizer", "num_bins": sizes.history_bins},
    }


def _action_space(sizes: TinySizes) -> dict[str, Any]:
    return {
        "_target_": "UnicycleAccelCurvatureActionSpace",
        "accel_mean": 0.0,
        "accel_std": sizes.accel_std,
        "curvature_mean": 0.0,
        "curvature_std": sizes.curvature_std,
        "n_waypoints": 64,
        "dt": 0.1,
    }


def _backbone(tokenizer: Tokenizer, sizes: TinySizes) -> dict[str, Any]:
    half = sizes.head_dim // 2
    return {
        "image_token_id": tokenizer.token_to_id("<|image_pad|>"),
        "video_token_id": tokenizer.token_to_id("<|video_pad|>"),
        "vision_start_token_id": tokenizer.token_to_id("<|vision_start|>"),
        "vision_end_token_id": tokenizer.token_to_id("<|vision_end|>"),
        "tie_word_embeddings": False,
        "text_config": {
            "attention_bias": False,
            "head_dim": sizes.head_dim,
            "hidden_act": "silu",
            "hidden_size": sizes.hidden,
            "initializer_range": sizes.initializer_range,
            "intermediate_size": sizes.mlp,
            "max_position_embeddings": 4096,
            "num_attention_heads": sizes.heads,
            "num_hidden_layers": sizes.layers,
            "num_key_value_heads": 1,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10_000,
            "rope_scaling": {
                "rope_type": "default",
                "mrope_interleaved": True,
                "mrope_section": [half - 2 * (half // 3), half // 3, half // 3],
            },
            "eos_token_id": tokenizer.token_to_id("<|im_end|>"),
            "pad_token_id": tokenizer.token_to_id("<|endoftext|>"),
        },
        "vision_config": {
            "deepstack_visual_indexes": [0],
            "depth": sizes.vision_depth,
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": sizes.vision_hidden,
            "in_channels": 3,
            "initializer_range": sizes.initializer_range,
            "intermediate_size": 3 * sizes.vision_hidden,
            "num_heads": 2,
            "num_position_embeddings": 64,
            "out_hidden_size": sizes.hidden,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
    }
