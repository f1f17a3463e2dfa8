"""What came in, what went out and why: counted while windows pass, so that nothing disappears."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

from pydantic import Field, model_validator

from touge.contract.model import Document
from touge.curation.samples import Outcome


class DriveAccount(Document):
    """One drive's windows.

    Attributes:
        drive: Its id.
        source: Which of the recipe's drives it comes from, counted from 0.
        windows: That its length allows.
        kept: That became rows.
        rejected: Count by reason.
        contradictions: Of the kept ones, those whose words contradict their future.
        notes: Counts of what the reader left out.
    """

    drive: str
    source: int
    windows: int
    kept: int
    rejected: dict[str, int] = {}
    contradictions: int = 0
    notes: dict[str, int] = {}

    @model_validator(mode="after")
    def _nothing_disappears(self) -> Self:
        if self.windows != self.kept + sum(self.rejected.values()):
            raise ValueError(f"{self.windows} windows came in, {self.kept} + {self.rejected} went out")
        return self


class ShardAccount(Document):
    """All drives of one shard: rejections.json.

    Attributes:
        drives: This shard's.
        left_out: Of each of the recipe's drives, what its reader left out, by reason; the same in every shard.
    """

    schema_version: Literal["touge.rejections/1"] = Field("touge.rejections/1", alias="schema")
    drives: tuple[DriveAccount, ...]
    left_out: tuple[dict[str, int], ...]


@dataclass(slots=True)
class _Counts:
    windows: int = 0
    kept: int = 0
    contradictions: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    notes: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Ledger:
    """Counts outcomes as they come; grows with the drives, not with the windows."""

    _drives: dict[tuple[int, str], _Counts] = field(default_factory=dict)
    _left_out: list[dict[str, int]] = field(default_factory=list)

    def source(self, left_out: Mapping[str, int]) -> None:
        """Note the recipe's next source, and what its reader leaves out."""
        self._left_out.append({reason: count for reason, count in sorted(left_out.items()) if count})

    def open(self, source: int, drive: str, notes: Mapping[str, int]) -> None:
        """Note a drive, so that one without any window is listed, too."""
        self._of(source, drive).notes = {name: count for name, count in notes.items() if count}

    def add(self, source: int, outcome: Outcome) -> None:
        """Count one window."""
        counts = self._of(source, outcome.drive)
        counts.windows += 1
        counts.contradictions += outcome.contradicts
        if outcome.sample is None:
            counts.rejected[outcome.rejections[0].reason] += 1
        else:
            counts.kept += 1

    @property
    def windows(self) -> int:
        """How many windows came in so far."""
        return sum(counts.windows for counts in self._drives.values())

    def account(self) -> ShardAccount:
        """Return the account, drives in the order of source and id."""
        return ShardAccount(
            drives=tuple(
                DriveAccount(
                    drive=drive,
                    source=source,
                    windows=counts.windows,
                    kept=counts.kept,
                    rejected=dict(sorted(counts.rejected.items())),
                    contradictions=counts.contradictions,
                    notes=dict(counts.notes),
                )
                for (source, drive), counts in sorted(self._drives.items())
            ),
            left_out=tuple(self._left_out),
        )

    def _of(self, source: int, drive: str) -> _Counts:
        return self._drives.setdefault((source, drive), _Counts())


def reasons(drives: Iterable[DriveAccount]) -> dict[str, int]:
    """Return the rejections of all drives by reason, most frequent first."""
    total: Counter[str] = Counter()
    for drive in drives:
        total.update(drive.rejected)
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))
