"""Rows of JSONL, checked: samples, predictions and likelihoods, every wrong line named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TypeVar

from pydantic import ValidationError

from touge.contract.errors import DataError
from touge.contract.model import Document, problems

Row = TypeVar("Row", bound=Document)

#: Problems told in one message.
_LISTED = 5


def read_rows(data: bytes, kind: type[Row], source: str) -> list[Row]:
    """Return the rows of a JSONL file.

    Args:
        data: The file.
        kind: What a row is.
        source: Name of the file, for messages.

    Raises:
        DataError: With the first few lines that are wrong, or if two rows have one id.
    """
    rows, wrong = [], []
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            if line.strip():
                rows.append(kind.read_json(line))
        except ValidationError as error:
            wrong.append(f"line {number}: {'; '.join(problems(error, kind)[:3])}")
    wrong += [f"id {name!r} is given twice" for name in _twice(str(getattr(row, "id", "")) for row in rows)]
    if wrong:
        more = f"\n  … and {len(wrong) - _LISTED} more" if len(wrong) > _LISTED else ""
        listed = "".join(f"\n  - {problem}" for problem in wrong[:_LISTED])
        raise DataError(f"{source}: {len(wrong)} problems:{listed}{more}")
    return rows


def write_rows(rows: Iterable[Document]) -> bytes:
    """Return rows as JSONL."""
    return "".join(row.to_json() + "\n" for row in rows).encode()


def _twice(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if name and count > 1]
