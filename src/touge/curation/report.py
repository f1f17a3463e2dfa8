"""The account of a data set as a document, curation.json: what came in, what went out and why. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from touge.contract.model import Document
from touge.contract.plan import InventoryRef
from touge.contract.recipe import Balance, Split
from touge.contract.sample import SplitName
from touge.curation.account import DriveAccount, reasons
from touge.curation.decision import Decision
from touge.curation.leakage import Leakage
from touge.motion.labels import Kind


class Cell(Document):
    """How many windows of one kind, side and tightness a split has."""

    split: SplitName
    kind: str
    direction: str
    radius_band: str
    windows: int


class Totals(Document):
    """All windows: what came in is what was kept and what was rejected."""

    windows: int
    kept: int
    rejected: dict[str, int]

    @model_validator(mode="after")
    def _nothing_disappears(self) -> Self:
        if self.windows != self.kept + sum(self.rejected.values()):
            raise ValueError(f"{self.windows} windows came in, {self.kept} + {self.rejected} went out")
        return self


class SplitDrive(DriveAccount):
    """A drive's account with the splits that its windows went to."""

    splits: tuple[SplitName, ...] = ()


class Mix(Document):
    """Straight windows of the training split.

    Attributes:
        wanted: Share that the recipe asks for.
        counted: Share of the rows.
        weighed: Share of an epoch, by weights.
        straight_weight: Of each straight window.
    """

    wanted: float | None
    counted: float | None
    weighed: float | None
    straight_weight: float


class Curation(Document):
    """Everything about a curated data set but its rows.

    Attributes:
        labels: Label definition; figures of two are not comparable.
        tainted: Whether contradictions were kept on purpose; such a data set is never promoted.
        contradictions: Kept rows whose words contradict their future.
        totals: All windows.
        cells: Windows by split, kind, direction and radius band.
        reasoning: Rows by where their words come from; `none`: left to the base model.
        held_out: What is held out whole, how many of them, and the wanted shares.
        mix: Straight windows of the training split.
        leakage: The report in leakage.json.
        inputs: What was read, by content.
        left_out: Of each input, the drives that its reader left out, by reason.
        drives: Every drive.
    """

    schema_version: Literal["touge.curation/1"] = Field("touge.curation/1", alias="schema")
    labels: str
    tainted: bool
    contradictions: int
    totals: Totals
    cells: tuple[Cell, ...]
    reasoning: dict[str, int]
    held_out: dict[str, str | int | float]
    mix: Mix
    leakage: Leakage
    inputs: tuple[InventoryRef, ...]
    left_out: tuple[dict[str, int], ...]
    drives: tuple[SplitDrive, ...]


def totals(drives: Sequence[SplitDrive], decision: Decision) -> Totals:
    """Return the account of all windows."""
    return Totals(windows=sum(drive.windows for drive in drives), kept=len(decision.entries), rejected=reasons(drives))


def cells(decision: Decision) -> tuple[Cell, ...]:
    """Return the counts of every cell that occurs."""
    found = Counter((split, entry.kind, entry.direction, entry.radius_band) for entry, split in decision.entries)
    return tuple(
        Cell(split=split, kind=kind, direction=direction, radius_band=band, windows=windows)
        for (split, kind, direction, band), windows in sorted(found.items())
    )


def sources(decision: Decision) -> dict[str, int]:
    """Return how many rows have their words from where."""
    return dict(sorted(Counter(entry.source for entry, _ in decision.entries).items()))


def with_splits(drives: Iterable[DriveAccount], decision: Decision) -> tuple[SplitDrive, ...]:
    """Return the accounts of drives with their splits; windows that the split left out count as rejected."""
    splits: dict[str, set[SplitName]] = defaultdict(set)
    for entry, split in decision.entries:
        splits[entry.drive].add(split)
    left_out: dict[str, Counter[str]] = defaultdict(Counter)
    for identity, reason in decision.left_out.items():
        left_out[identity.rpartition("@")[0]][reason] += 1
    return tuple(
        SplitDrive(
            **drive.model_dump(exclude={"kept", "rejected"}),
            kept=drive.kept - left_out[drive.drive].total(),
            rejected=drive.rejected | dict(sorted(left_out[drive.drive].items())),
            splits=tuple(sorted(splits[drive.drive])),
        )
        for drive in drives
    )


def held_out(decision: Decision, split: Split) -> dict[str, str | int | float]:
    """Return how the split was made."""
    return {"unit": decision.unit, "units": decision.units, "validation": split.validation, "test": split.test}


def mix(decision: Decision, balance: Balance) -> Mix:
    """Return the share of straight windows in training, before and after weights."""
    weight = decision.weights(balance)
    trained = [(entry.kind, weight(entry, split)) for entry, split in decision.entries if split == "train"]
    straight = [weighed for kind, weighed in trained if kind == Kind.STRAIGHT]
    total = sum(weighed for _, weighed in trained)
    return Mix(
        wanted=balance.straight,
        counted=round(len(straight) / len(trained), 4) if trained else None,
        weighed=round(sum(straight) / total, 4) if total else None,
        straight_weight=straight[0] if straight else 1.0,
    )
