"""Small Parquet files as columns of NumPy arrays or Python values, and back, index included.

PhysicalAI-AV's tables are pandas frames: their index is an ordinary column that a metadata record
names. Written here without pandas, in the form that pandas reads back as an index.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from touge.contract.errors import DataError


def read_table(data: bytes, source: str) -> pa.Table:
    """Return the table.

    Without threads and read-ahead: the files are small, and pyarrow's pool may abort a process that ends
    while it is still at work.

    Raises:
        DataError: If the bytes are no Parquet file.
    """
    try:
        return pq.read_table(pa.BufferReader(data), use_threads=False, pre_buffer=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{source} is not a readable Parquet file ({error}); download it again") from error


def numbers(table: pa.Table, columns: Sequence[str], source: str) -> np.ndarray:
    """Return numeric columns as [rows, columns] float64; null becomes NaN.

    Raises:
        DataError: If a column is missing or holds something else.
    """
    require(table, columns, source)
    return np.column_stack([_number(table.column(name), name, source) for name in columns])


def _number(column: pa.ChunkedArray, name: str, source: str) -> np.ndarray:
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_null(column.type)):
        raise DataError(f"{source}: column {name} holds {column.type}; expected numbers")
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=float)


def integers(table: pa.Table, column: str, source: str) -> np.ndarray:
    """Return an integer column as int64.

    Raises:
        DataError: If it is missing, or has an empty or non-integer value.
    """
    require(table, [column], source)
    values = table.column(column)
    if values.null_count or not pa.types.is_integer(values.type):
        raise DataError(f"{source}: column {column} is {values.type} with {values.null_count} empty; expected integers")
    return np.asarray(values.to_numpy(), dtype=np.int64)


def values(table: pa.Table, column: str, source: str) -> list[Any]:
    """Return a column as Python values; the index of a frame without a name goes by any name."""
    if column not in table.column_names and "__index_level_0__" in table.column_names:
        column = "__index_level_0__"
    require(table, [column], source)
    found: list[Any] = table.column(column).to_pylist()
    return found


def require(table: pa.Table, columns: Sequence[str], source: str) -> None:
    """Check that the columns exist.

    Raises:
        DataError: Naming those that do not, and those that do.
    """
    if missing := [name for name in columns if name not in table.column_names]:
        raise DataError(f"{source}: no column {', '.join(missing)}; it has {', '.join(table.column_names)}")


def write_table(columns: Mapping[str, Any], index: Sequence[str] = ()) -> bytes:
    """Return Parquet bytes of the columns; those of `index` come back as a pandas index."""
    arrays = {name: pa.array(column) for name, column in columns.items()}
    table = pa.table(arrays)
    if index:
        table = table.replace_schema_metadata({"pandas": json.dumps(_pandas_record(table, index))})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _pandas_record(table: pa.Table, index: Sequence[str]) -> dict[str, Any]:
    """Return what pandas keeps in a file's metadata (https://pandas.pydata.org/docs/development/developer.html)."""
    described = [
        {"name": field.name, "field_name": field.name, **_pandas_types(field.type), "metadata": None}
        for field in table.schema
    ]
    return {"index_columns": list(index), "column_indexes": [], "columns": described, "pandas_version": "2.2.0"}


def _pandas_types(kind: pa.DataType) -> dict[str, str]:
    name = "unicode" if pa.types.is_string(kind) else str(kind).replace("double", "float64")
    return {"pandas_type": name, "numpy_type": "object" if pa.types.is_string(kind) else name}
