"""What `config.json` says, as frozen data: the first stop of every checkpoint.

The file is hydra-flavoured: `_target_` names a class of the reference code. Only the class NAME is read and
mapped to ours; nothing that a file names is imported or called. Unknown names and options are refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from touge.contract.errors import CheckpointError

#: Values of `model_type`: the same model, but for names of unused tokens and words around the images.
R1, V1_5 = "alpamayo_r1", "alpamayo1_5"
FAMILIES = (R1, V1_5)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ActionSpaceConfig:
    """Unicycle action space: normalisation, and the weights of its least-squares fits.

    Accelerations in m/s^2, curvatures in 1/m, `dt` in seconds. The weights are the reference's
    (arXiv 2511.00088, reference repository NVlabs/alpamayo).
    """

    accel_mean: float = 0.0
    accel_std: float = 1.0
    curvature_mean: float = 0.0
    curvature_std: float = 1.0
    accel_bounds: tuple[float, float] = (-9.8, 9.8)
    curvature_bounds: tuple[float, float] = (-0.2, 0.2)
    dt: float = 0.1
    n_waypoints: int = 64
    theta_lambda: float = 1e-6
    theta_ridge: float = 1e-8
    v_lambda: float = 1e-6
    v_ridge: float = 1e-4
    a_lambda: float = 1e-4
    a_ridge: float = 1e-4
    kappa_lambda: float = 1e-4
    kappa_ridge: float = 1e-4


@dataclass(frozen=True, slots=True)
class FutureTokensConfig:
    """Bins of the normalised action: `dims_min`…`dims_max` per dimension onto 0…num_bins-1."""

    num_bins: int = 3000
    dims_min: tuple[float, ...] = (-10.0, -10.0)
    dims_max: tuple[float, ...] = (10.0, 10.0)


@dataclass(frozen=True, slots=True)
class HistoryTokensConfig:
    """Bins of the steps between history positions, metres per 0.1 s on x, y, z."""

    num_bins: int = 1000
    ego_xyz_min: tuple[float, ...] = (-4.0, -4.0, -10.0)
    ego_xyz_max: tuple[float, ...] = (4.0, 4.0, 10.0)
    predict_yaw: bool = False


@dataclass(frozen=True, slots=True)
class ActionProjectionConfig:
    """Fourier features and MLP that turn (noisy action, time) into expert embeddings."""

    hidden_size: int = 1024
    num_enc_layers: int = 4
    max_freq: float = 100.0
    num_fourier_feats: int = 20


@dataclass(frozen=True, slots=True)
class FlowConfig:
    """Flow matching: Euler steps of a rollout."""

    num_inference_steps: int = 10
    int_method: str = "euler"
    x_dims: tuple[int, ...] = (64, 2)


#: Class names of the reference code, and the data that each one's options fill.
TARGETS: Mapping[str, type] = {
    "UnicycleAccelCurvatureActionSpace": ActionSpaceConfig,
    "DiscreteTrajectoryTokenizer": FutureTokensConfig,
    "DeltaTrajectoryTokenizer": HistoryTokensConfig,
    "PerWaypointActionInProjV2": ActionProjectionConfig,
    "FlowMatching": FlowConfig,
}

#: Options of the reference that do not change what the model computes; guidance is for navigation text alone.
IGNORED_OPTIONS = frozenset({
    "_target_", "_recursive_", "_convert_", "load_weights", "ego_yaw_min", "ego_yaw_max",
    "use_classifier_free_guidance", "inference_guidance_weight",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class AlpamayoConfig:
    """Everything that fixes the architecture, parsed and checked.

    Attributes:
        family: One of `FAMILIES`.
        backbone: Qwen3-VL configuration as in its own `config.json` (`text_config`, `vision_config`, token ids).
        expert_overrides: What the expert's text configuration changes of the backbone's.
        raw: The document itself, written back unchanged when a checkpoint is saved.
    """

    family: str
    backbone: Json
    expert_overrides: Json
    action_space: ActionSpaceConfig
    future_tokens: FutureTokensConfig
    history_tokens: HistoryTokensConfig
    action_projection: ActionProjectionConfig
    flow: FlowConfig
    trajectory_vocabulary: int
    tokens_per_history: int
    tokens_per_future: int
    trajectory_start: int
    trajectory_ids: dict[str, int]
    vocabulary_size: int
    non_causal: bool
    keep_same_dtype: bool
    min_pixels: int
    max_pixels: int
    dtype: str
    raw: Json = field(repr=False)

    @classmethod
    def parse(cls, document: Json, *, backbone: Json | None = None, source: str = "config.json") -> Self:
        """Check a `config.json` document.

        Args:
            document: The parsed file.
            backbone: The backbone's own `config.json`, for a checkpoint that names it only.
            source: Where the document lies, for messages.

        Raises:
            CheckpointError: Lists every key that is missing, unknown or contradictory.
        """
        problems: list[str] = []
        parts = {name: _part(document, key, kind, problems) for name, (key, kind) in _PARTS.items()}
        problems += [f"`{key}` is missing" for key in _REQUIRED if key not in document]
        problems += _contradictions(document)
        chosen = document.get("vlm_config") or backbone
        if chosen is None:
            name = document.get("vlm_name_or_path")
            problems.append(f"the backbone's configuration is not inline; give the folder of {name!r} as `backbone`")
        if problems:
            listed = "\n".join(f"  - {problem}" for problem in problems)
            advice = "Let the recipe's `base` be a checkpoint of Alpamayo-R1 or 1.5"
            raise CheckpointError(f"{source} does not describe a model of ours:\n{listed}\n{advice}")
        return cls(
            **parts,
            **{name: convert(document.get(key, default)) for name, (key, convert, default) in _SCALARS.items()},
            backbone=_with_vocabulary(chosen or {}, document["vocab_size"]),
            raw=document,
        )

    @classmethod
    def read(cls, folder: Path, *, backbone: Path | None = None) -> Self:
        """Parse `folder/config.json`; what it leaves to the backbone comes from the files of that."""
        path = folder / "config.json"
        document = read_json(path)
        if backbone is None:
            return cls.parse(document, source=str(path))
        return cls.parse(_with_ids(document, backbone), backbone=read_json(backbone / "config.json"), source=str(path))

    @property
    def expert_text(self) -> Json:
        """The expert's text configuration; it has no vocabulary of its own."""
        return {
            **self.backbone["text_config"],
            **self.expert_overrides,
            "vocab_size": 1,
            "pad_token_id": None,
            "eos_token_id": None,
        }

    @property
    def action_shape(self) -> tuple[int, int]:
        """Steps and dimensions of one action."""
        return self.action_space.n_waypoints, len(self.future_tokens.dims_min)


def read_json(path: Path) -> Json:
    """Return the JSON object in a file.

    Raises:
        CheckpointError: The file is missing or holds no JSON object.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing; a checkpoint folder needs it") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise CheckpointError(f"{path} holds {type(document).__name__}, expected an object")
    return document


def _with_ids(document: Json, backbone: Path) -> Json:
    """Return a document with the ids that follow from the backbone's vocabulary, where it does not state them."""
    from touge.alpamayo.inputs.tokenizer import base_length
    from touge.alpamayo.inputs.vocabulary import NEW_NAMES

    start = document.get("traj_token_start_idx") or base_length(backbone)
    size = start + int(document.get("traj_vocab_size", 0)) + len(NEW_NAMES)
    return {"traj_token_start_idx": start, "vocab_size": size, "traj_token_ids": {}} | document


_PARTS: Mapping[str, tuple[str, type]] = {
    "action_space": ("action_space_cfg", ActionSpaceConfig),
    "future_tokens": ("traj_tokenizer_cfg", FutureTokensConfig),
    "history_tokens": ("hist_traj_tokenizer_cfg", HistoryTokensConfig),
    "action_projection": ("action_in_proj_cfg", ActionProjectionConfig),
    "flow": ("diffusion_cfg", FlowConfig),
}

_SCALARS: Mapping[str, tuple[str, Any, Any]] = {
    "family": ("model_type", str, R1),
    "expert_overrides": ("expert_cfg", dict, {}),
    "trajectory_vocabulary": ("traj_vocab_size", int, None),
    "tokens_per_history": ("tokens_per_history_traj", int, None),
    "tokens_per_future": ("tokens_per_future_traj", int, None),
    "trajectory_start": ("traj_token_start_idx", int, None),
    "trajectory_ids": ("traj_token_ids", dict, None),
    "vocabulary_size": ("vocab_size", int, None),
    "non_causal": ("expert_non_causal_attention", bool, True),
    "keep_same_dtype": ("keep_same_dtype", bool, True),
    "min_pixels": ("min_pixels", int, 163_840),
    "max_pixels": ("max_pixels", int, 196_608),
    "dtype": ("model_dtype", str, "bfloat16"),
}

_REQUIRED = tuple(key for key, _, default in _SCALARS.values() if default is None)


def _part(document: Json, key: str, kind: type, problems: list[str]) -> Any:
    """Return the dataclass that `document[key]` describes; what is wrong goes to `problems`."""
    options = document.get(key)
    if not isinstance(options, dict):
        problems.append(f"`{key}` is missing")
        return None
    target = str(options.get("_target_", "")).rsplit(".", 1)[-1]
    if TARGETS.get(target) is not kind:
        wanted = next(name for name, known in TARGETS.items() if known is kind)
        problems.append(f"`{key}._target_` names {target!r}; known here is {wanted!r}")
        return None
    known = {f.name for f in fields(kind)}
    given = {name: value for name, value in options.items() if name not in IGNORED_OPTIONS | {"action_space_cfg"}}
    listed = ", ".join(sorted(known))
    problems += [f"`{key}.{name}` is unknown; known are {listed}" for name in given if name not in known]
    return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in given.items() if name in known})


def _contradictions(document: Json) -> list[str]:
    problems = []
    if (model_type := document.get("model_type")) not in FAMILIES:
        problems.append(f"`model_type` is {model_type!r}, expected {' or '.join(map(repr, FAMILIES))}")
    output = str(document.get("action_out_proj_cfg", {}).get("_target_", ""))
    if output.rsplit(".", 1)[-1] != "Linear":
        problems.append(f"`action_out_proj_cfg._target_` names {output!r}; known here is 'Linear'")
    inner = document.get("traj_tokenizer_cfg", {}).get("action_space_cfg")
    if inner is not None and inner != document.get("action_space_cfg"):
        problems.append("`traj_tokenizer_cfg.action_space_cfg` differs from `action_space_cfg`; they must be equal")
    if document.get("hist_traj_tokenizer_cfg", {}).get("predict_yaw"):
        problems.append("`hist_traj_tokenizer_cfg.predict_yaw` is true; only positions are supported")
    return problems


def _with_vocabulary(backbone: Json, size: int) -> Json:
    """Return the backbone's configuration with the vocabulary that the trajectory tokens have extended."""
    return {**backbone, "text_config": {**backbone["text_config"], "vocab_size": size}}
