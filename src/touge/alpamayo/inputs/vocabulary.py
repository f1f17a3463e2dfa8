"""Token ids by name, derived from the configuration: no id is a constant anywhere.

The release extends its backbone's vocabulary by `<i0>`…`<iN>` and then by the special tokens below, in this
order. Ids follow from where the extension begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from touge.alpamayo.config import R1, AlpamayoConfig
from touge.contract.errors import CheckpointError

#: In the release's order. `<|image_pad|>` adds no id where the backbone's vocabulary already has it.
SPECIAL_NAMES = (
    "prompt_start", "prompt_end", "image_start", "image_pre_tkn", "image_end",
    "traj_history_start", "traj_history_pre_tkn", "traj_history_end",
    "cot_start", "cot_end", "meta_action_start", "meta_action_end",
    "traj_future_start", "traj_future_pre_tkn", "traj_future_end",
    "traj_history", "traj_future", "image_pad",
    "vectorized_wm", "vectorized_wm_start", "vectorized_wm_end", "vectorized_wm_pre_tkn",
    "route_start", "route_pad", "route_end",
    "question_start", "question_end", "answer_start", "answer_end",
)  # fmt: skip

#: Those that add an id to a backbone's vocabulary.
NEW_NAMES = tuple(name for name in SPECIAL_NAMES if name != "image_pad")

#: Names that Alpamayo 1.5 has taken back; their ids stay (reference repository NVlabs/alpamayo1.5).
_PADDING = (
    "image_pre_tkn", "traj_history_pre_tkn", "meta_action_start", "meta_action_end", "traj_future_pre_tkn",
    "vectorized_wm", "vectorized_wm_start", "vectorized_wm_end", "vectorized_wm_pre_tkn",
)  # fmt: skip


def special_names(family: str) -> tuple[str, ...]:
    """Return the names of a family's special tokens, in the order of their ids."""
    if family == R1:
        return SPECIAL_NAMES
    return tuple(f"_padding_{_PADDING.index(name)}" if name in _PADDING else name for name in SPECIAL_NAMES)


def trajectory_token(index: int) -> str:
    """Return the text of trajectory token `index`."""
    return f"<i{index}>"


def special_token(name: str) -> str:
    """Return the text of a special token."""
    return f"<|{name}|>"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The ids that batches, model and rollout need.

    Attributes:
        trajectory_start: Id of `<i0>`; `<i*>` are `trajectory_size` consecutive ids.
        history_offset: History bins are `<i(history_offset)>` and on; future bins begin at `<i0>`.
        image: The placeholder that a vision embedding replaces.
    """

    trajectory_start: int
    trajectory_size: int
    history_offset: int
    history_start: int
    history: int
    history_end: int
    cot_start: int
    cot_end: int
    future_start: int
    future: int
    future_end: int
    image: int

    @classmethod
    def of(cls, config: AlpamayoConfig) -> Self:
        """Derive the ids, and compare them with those that the configuration states itself.

        Raises:
            CheckpointError: The two disagree.
        """
        first = config.trajectory_start + config.trajectory_vocabulary
        ids = {name: first + index for index, name in enumerate(SPECIAL_NAMES[: SPECIAL_NAMES.index("image_pad")])}
        derived = {
            "history": ids["traj_history"],
            "history_start": ids["traj_history_start"],
            "history_end": ids["traj_history_end"],
            "future": ids["traj_future"],
            "future_start": ids["traj_future_start"],
            "future_end": ids["traj_future_end"],
        }
        wrong = {k: (v, derived[k]) for k, v in config.trajectory_ids.items() if k in derived and derived[k] != v}
        if wrong:
            raise CheckpointError(f"`traj_token_ids` (given, derived from the vocabulary's order) disagree: {wrong}")
        return cls(
            trajectory_start=config.trajectory_start,
            trajectory_size=config.trajectory_vocabulary,
            history_offset=config.future_tokens.num_bins,
            cot_start=ids["cot_start"],
            cot_end=ids["cot_end"],
            image=int(config.backbone["image_token_id"]),
            **derived,
        )
