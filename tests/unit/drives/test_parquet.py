"""Small tables."""

import io

import numpy as np
import pandas as pd
import pytest

from touge.contract.errors import DataError
from touge.drives.parquet import integers, numbers, read_table, values, write_table


def table(**columns: object):
    return read_table(write_table(columns), "t.parquet")


def test_an_index_comes_back_in_pandas():
    frame = pd.read_parquet(io.BytesIO(write_table({"clip": ["a", "b"], "x": [1.5, 2.5]}, index=("clip",))))

    assert frame.index.name == "clip"
    assert frame.loc["b", "x"] == 2.5


def test_an_index_of_two_levels_comes_back_in_pandas():
    data = write_table({"clip": ["a"], "camera": ["wide"], "n": [3], "ok": [True]}, index=("clip", "camera"))

    assert pd.read_parquet(io.BytesIO(data)).loc["a"].loc["wide"].to_dict() == {"n": 3, "ok": True}


def test_an_index_that_pandas_wrote_without_a_name_is_found():
    buffer = io.BytesIO()
    pd.DataFrame({"chunk": [7]}, index=["clip-1"]).to_parquet(buffer)

    assert values(read_table(buffer.getvalue(), "t.parquet"), "clip_id", "t.parquet") == ["clip-1"]


def test_numbers_are_columns_and_empty_is_not_a_number():
    np.testing.assert_array_equal(numbers(table(x=[1, 2], y=[0.5, None]), ["y", "x"], "t"), [[0.5, 1], [np.nan, 2]])


@pytest.mark.parametrize("column", [[1.5, 2.0], [1, None], ["1", "2"]])
def test_what_is_no_integer_is_refused(column):
    with pytest.raises(DataError, match=r"t.parquet: column t is .* expected integers"):
        integers(table(t=column), "t", "t.parquet")


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(DataError, match="no column y; it has x"):
        numbers(table(x=[1.0]), ["x", "y"], "t.parquet")
