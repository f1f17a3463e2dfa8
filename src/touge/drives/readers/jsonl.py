"""Reads rows of `touge.sample/1` that were made elsewhere: samples, not drives; every row is validated."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

from pydantic import ValidationError

from touge.contract.errors import DataError, ObjectNotFound
from touge.contract.model import problems
from touge.contract.sample import Sample
from touge.drives.readers.files import files_at
from touge.storage import Store, open_store

#: Bad rows that one message lists.
_LISTED = 20


def read_samples(uri: str, stores: Callable[[str], Store] = open_store) -> Iterator[Sample]:
    """Yield the samples of a .jsonl file, or of all below a folder; images stay where they are.

    Args:
        uri: Of a file, folder or prefix.
        stores: Opens a URI's store.

    Raises:
        DataError: After the last good row, if any row was invalid: where, and what is wrong with it.
    """
    store, keys = files_at(uri, (".jsonl",), stores)
    wrong: list[str] = []
    seen: set[str] = set()
    for place, line in _lines(store, keys):
        try:
            sample = Sample.read_json(line)
        except ValidationError as error:
            wrong.append(f"{place}: {'; '.join(problems(error, Sample))}")
            continue
        if sample.id in seen:
            wrong.append(f"{place}: id {sample.id} was there before; ids must be unique")
            continue
        seen.add(sample.id)
        yield sample
    if wrong:
        listed = "\n".join(f"  - {problem}" for problem in wrong[:_LISTED])
        more = f"\n  and {len(wrong) - _LISTED} more" if len(wrong) > _LISTED else ""
        raise DataError(f"{uri}: {len(wrong)} invalid rows of touge.sample/1\n{listed}{more}\nCorrect or remove them")


def _lines(store: Store, keys: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    for key in keys:
        try:
            stream = store.open(key)
        except ObjectNotFound as error:
            raise DataError(f"{store.uri}/{key} does not exist; check the address") from error
        with stream, io.BufferedReader(stream) as lines:  # type: ignore[type-var]
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield f"{key}:{number}", line
