"""Rows of samples made elsewhere."""

import json
from pathlib import Path

import pytest

from touge.contract.errors import DataError
from touge.drives.readers.jsonl import read_samples


def row(drive: str = "tokyo", **changes: object) -> dict:
    frames = [{"path": f"{k}.jpg", "t_us": k * 100_000, "sha256": "0" * 64} for k in range(4)]
    return {
        "schema": "touge.sample/1",
        "id": f"{drive}@300000",
        "drive": drive,
        "t0_us": 300_000,
        "images": {"front_wide": frames},
        "history": [[0.1 * k, 0, 0, 0] for k in range(-15, 1)],
        "future": [[0.1 * k, 0, 0] for k in range(1, 65)],
        "label": {"config": "jp-2026.1", "kind": "straight", "direction": "none", "radius_band": "none"},
        "split": "train",
        "provenance": {"reader": "ours", "uri": "file:///log", "sha256": "0" * 64},
        **changes,
    }


def written(path: Path, *rows: dict | str) -> str:
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows) + "\n")
    return f"file://{path}"


def test_rows_become_samples(tmp_path):
    uri = written(tmp_path / "rows.jsonl", row("tokyo"), "", row("kyoto"))

    assert [sample.drive for sample in read_samples(uri)] == ["tokyo", "kyoto"]


def test_all_files_of_a_folder_are_read(tmp_path):
    written(tmp_path / "b.jsonl", row("b"))
    written(tmp_path / "a.jsonl", row("a"))

    assert [sample.drive for sample in read_samples(f"file://{tmp_path}")] == ["a", "b"]


def test_every_bad_row_is_named_after_the_good_ones(tmp_path):
    uri = written(tmp_path / "rows.jsonl", row("a"), "{cut", row("b", future=[]), row("c", tempo=3), row("d"))
    samples = read_samples(uri)

    assert [next(samples).drive, next(samples).drive] == ["a", "d"]
    with pytest.raises(DataError, match=r"3 invalid rows") as caught:
        next(samples)
    assert all(place in str(caught.value) for place in ("rows.jsonl:2", "rows.jsonl:3: future", "rows.jsonl:4: tempo"))


def test_a_number_that_is_none_is_an_error(tmp_path):
    future = [[0.1 * k, 0, 0] for k in range(1, 64)] + [[float("nan"), 0, 0]]

    with pytest.raises(DataError, match=r"rows.jsonl:1: future"):
        list(read_samples(written(tmp_path / "rows.jsonl", row(future=future))))


def test_an_id_that_comes_twice_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"rows.jsonl:2: id tokyo@300000 was there before"):
        list(read_samples(written(tmp_path / "rows.jsonl", row(), row())))


def test_a_long_list_of_bad_rows_is_cut_short(tmp_path):
    with pytest.raises(DataError, match="and 10 more"):
        list(read_samples(written(tmp_path / "rows.jsonl", *["{}"] * 30)))


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"absent.jsonl does not exist"):
        list(read_samples(f"file://{tmp_path}/absent.jsonl"))
