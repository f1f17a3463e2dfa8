"""JSONL rows, every wrong line named."""

import pytest

from touge.contract.errors import DataError
from touge.contract.sample import Sample
from touge.evaluation.rows import read_rows, write_rows

from .paths import arc, make_sample

ROWS = [make_sample(arc(80.0), t0_us=index) for index in range(3)]


def test_rows_read_back_equal():
    assert read_rows(write_rows(ROWS), Sample, "samples.jsonl") == ROWS


def test_empty_lines_are_no_rows():
    assert read_rows(b"\n\n" + write_rows(ROWS), Sample, "samples.jsonl") == ROWS


def test_every_wrong_line_is_named():
    data = write_rows(ROWS[:1]) + b"{}\nnot json\n"

    with pytest.raises(DataError, match=r"(?s)samples.jsonl: 2 problems.*line 2.*line 3"):
        read_rows(data, Sample, "samples.jsonl")


def test_a_repeated_id_is_refused():
    with pytest.raises(DataError, match="given twice"):
        read_rows(write_rows([*ROWS, ROWS[0]]), Sample, "samples.jsonl")
