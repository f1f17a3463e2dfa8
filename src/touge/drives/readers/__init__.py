"""Readers: one module a format, chosen by the recipe's format name."""

from __future__ import annotations

from collections.abc import Callable

from touge.contract.errors import RecipeError
from touge.contract.recipe import DriveSource, PhysicalAiAvSource, TableSource
from touge.drives.drive import Reader
from touge.drives.readers.physical_ai_av import PhysicalAiAvReader
from touge.drives.readers.physical_ai_av_catalogue import Catalogue
from touge.drives.readers.table import TableReader
from touge.storage import Store, open_store

__all__ = ["open_reader"]

#: Formats that hold drives. `jsonl` holds samples: see `touge.drives.readers.jsonl.read_samples`.
FORMATS = ("physical-ai-av", "table")


def open_reader(source: DriveSource, stores: Callable[[str], Store] = open_store) -> Reader:
    """Return the reader of a recipe's source.

    Args:
        source: One entry of the recipe's `curate.drives`.
        stores: Opens a URI's store.

    Raises:
        RecipeError: If the format holds no drives.
        DataError: If nothing lies at the URI.
    """
    match source:
        case PhysicalAiAvSource():
            return PhysicalAiAvReader(Catalogue(stores(source.uri), source.region))
        case TableSource():
            return TableReader(source, stores)
        case _:
            raise RecipeError(
                f"curate.drives: given format {source.format!r}; formats that hold drives are {', '.join(FORMATS)}"
            )
