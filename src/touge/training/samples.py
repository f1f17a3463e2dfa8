"""The training rows of samples.jsonl: checked once, then read row by row, so that memory stays flat.

Only ids, weights and places in the file are kept; a row is parsed again when it is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from touge.contract.errors import DataError
from touge.contract.model import problems
from touge.contract.sample import Sample

_LISTED = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One training sample: where its line begins in the file, bytes, and what is asked before it is read.

    Attributes:
        id: Sample id.
        weight: How often it comes an epoch.
        wordless: Whether its reasoning is left to the base model.
        offset: Of its line.
        size: Of its line.
    """

    id: str
    weight: float
    wordless: bool
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Samples:
    """The rows of the training split, in file order."""

    path: Path
    rows: tuple[Row, ...]

    @classmethod
    def open(cls, path: Path) -> Samples:
        """Check every row of the file and keep the places of those to train on.

        Raises:
            DataError: With the first few rows that are wrong, or if none is left to train on.
        """
        rows, wrong = [], []
        for number, offset, line in _lines(path):
            try:
                sample = Sample.read_json(line)
            except ValidationError as error:
                wrong.append(f"line {number}: {'; '.join(problems(error, Sample))}")
                continue
            if sample.split == "train" and sample.weight > 0:
                rows.append(Row(sample.id, sample.weight, sample.reasoning is None, offset, len(line)))
        if wrong:
            more = f"\n  … and {len(wrong) - _LISTED} more" if len(wrong) > _LISTED else ""
            listed = "".join(f"\n  - {problem}" for problem in wrong[:_LISTED])
            raise DataError(f"{path.name}: {len(wrong)} rows are no touge.sample/1:{listed}{more}")
        if not rows:
            raise DataError(f"{path.name}: no row of the training split has a weight above 0; nothing to train on")
        return cls(path, tuple(rows))

    def read(self, index: int) -> Sample:
        """Return one row, parsed."""
        row = self.rows[index]
        with self.path.open("rb") as stream:
            stream.seek(row.offset)
            return Sample.read_json(stream.read(row.size))


def _lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Yield number from 1, offset and content of every line that is not empty."""
    offset = 0
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield number, offset, line
            offset += len(line)
