"""The registry of readers."""

import pytest

from touge.contract.errors import RecipeError
from touge.contract.recipe import JsonlSource, PhysicalAiAvSource, TableSource
from touge.drives.readers import open_reader
from touge.drives.readers.physical_ai_av import PhysicalAiAvReader
from touge.drives.readers.table import TableReader

MOTION = {"kind": "positions", "x": "x", "y": "y", "yaw": "yaw"}


def test_the_format_chooses_the_reader(tmp_path):
    uri = f"file://{tmp_path}"
    table = TableSource(format="table", uri=uri, motion=MOTION, timestamp={"column": "t", "unit": "s"})

    assert isinstance(open_reader(PhysicalAiAvSource(format="physical-ai-av", uri=uri)), PhysicalAiAvReader)
    assert isinstance(open_reader(table), TableReader)


def test_a_format_without_drives_is_refused_with_those_that_have_some(tmp_path):
    with pytest.raises(RecipeError, match=r"given format 'jsonl'; formats that hold drives are physical-ai-av, table"):
        open_reader(JsonlSource(format="jsonl", uri=f"file://{tmp_path}"))
