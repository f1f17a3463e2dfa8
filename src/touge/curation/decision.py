"""Where every window goes: which split, and how often it comes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from touge.contract.errors import DataError
from touge.contract.recipe import Balance, Split
from touge.contract.sample import SplitName
from touge.curation.balance import straight_weight
from touge.curation.blocks import at_a_cut, block_of, blocks
from touge.curation.index import Entry
from touge.curation.leakage import seen_in_training
from touge.curation.split import HeldOut, assign, groups
from touge.motion.labels import Kind

#: Why a window is left out where drives are cut in time: it reaches over a cut, or training shows the same.
AT_A_CUT, SEEN_IN_TRAINING = "at_a_cut", "seen_in_training"


@dataclass(frozen=True, slots=True)
class Decision:
    """The split of a data set.

    Attributes:
        entries: The windows that stay, in the order of drive and time, each with its split.
        unit: What is held out whole.
        units: How many of them there are.
        left_out: Ids of the windows that do not stay, each with the reason.
    """

    entries: tuple[tuple[Entry, SplitName], ...]
    unit: HeldOut
    units: int
    left_out: Mapping[str, str] = field(default_factory=dict)

    def weights(self, balance: Balance) -> Callable[[Entry, SplitName], float]:
        """Return the weight of any window of this data set; 1 outside of training."""
        kinds = [entry.kind for entry, split in self.entries if split == "train"]
        straight = kinds.count(Kind.STRAIGHT)
        of_straight, of_others = straight_weight(straight, len(kinds) - straight, balance.straight)

        def weight(entry: Entry, split: SplitName) -> float:
            if split != "train":
                return 1.0
            return of_straight if entry.kind == Kind.STRAIGHT else of_others

        return weight


def decide(entries: Sequence[Entry], split: Split, seed: int) -> Decision:
    """Split by groups of drives, or in time where all drives hang together.

    Args:
        entries: In the order of drive and time.
        split: Wanted shares, and whether places hold drives together.
        seed: Of the choice.

    Raises:
        DataError: If nothing can be held out although the recipe asks for it.
    """
    by_place = "place" in split.by
    units = groups(entries, by_place=by_place)
    if len(units) > 1 or not (split.test or split.validation):
        chosen = assign(units, split, seed)
        by_drive = {drive: chosen[unit.name] for unit in units for drive in unit.drives}
        found = tuple((entry, by_drive[entry.drive]) for entry in entries)
        return Decision(found, "place" if by_place else "drive", len(units))
    return _in_time(entries, split, seed, drives=len(units[0].drives))


def _in_time(entries: Sequence[Entry], split: Split, seed: int, *, drives: int) -> Decision:
    units = blocks(entries)
    chosen: Mapping[str, SplitName] = assign(units, split, seed)
    left_out = dict.fromkeys(at_a_cut(entries, chosen), AT_A_CUT)
    apart = [(entry, chosen[block_of(entry)]) for entry in entries if entry.id not in left_out]
    left_out |= dict.fromkeys(seen_in_training(apart), SEEN_IN_TRAINING)
    found = tuple((entry, name) for entry, name in apart if entry.id not in left_out)
    if not {"train", "test" if split.test else "validation"} <= {name for _, name in found}:
        raise DataError(
            f"nothing can be held out: all {drives} drive(s) hang together by place or picture, and of their "
            f"{len(units)} block(s) of 60 s none is left that training does not see. Add drives of another place, or "
            "set curate.split.test=0 and curate.split.validation=0"
        )
    return Decision(found, "block_60s", len(units), left_out)
