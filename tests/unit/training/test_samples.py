"""The training rows of samples.jsonl."""

import json

import pytest
from tiny_training import sample_row

from touge.contract.errors import DataError
from touge.contract.sample import Sample
from touge.training.samples import Samples

IMAGES = {"front_wide": [{"path": "a.tar#0.jpg", "t_us": 0, "sha256": "0"}] * 4}


@pytest.fixture
def opened(tmp_path):
    """Open a file of these lines."""

    def open_lines(*lines):
        path = tmp_path / "samples.jsonl"
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return Samples.open(path)

    return open_lines


def line(number, **changes):
    return json.dumps(sample_row(number, IMAGES, **changes), ensure_ascii=False)


def test_rows_of_the_training_split_with_a_weight_are_kept_in_file_order(opened):
    samples = opened(
        line(3), line(1, split="validation"), line(2, weight=0), line(0, weight=2.5), line(4, split="test")
    )

    assert [("drive@3", 1.0), ("drive@0", 2.5)] == [(row.id, row.weight) for row in samples.rows]


def test_a_row_is_read_from_its_place_in_the_file(opened):
    text = {"text": "この先左カーブ、減速します。", "language": "ja", "source": "template"}
    samples = opened(line(0, reasoning=text), "", line(1, split="test"), "  ", line(2))

    assert samples.read(0).reasoning.text == text["text"]
    assert samples.read(1) == Sample.read_json(line(2))


def test_a_row_without_reasoning_is_wordless(opened):
    samples = opened(line(0), line(1, reasoning=None))

    assert [False, True] == [row.wordless for row in samples.rows]


def test_rows_that_are_no_samples_are_listed_by_line(opened):
    with pytest.raises(
        DataError, match=r"(?s)2 rows are no touge\.sample/1.*line 2: future.*line 4: .*given 1"
    ) as found:
        opened(line(0), line(1, future=[[0, 0, 0]]), line(2), line(3, schema=1))

    assert "line 1" not in str(found.value)


def test_a_line_that_is_no_json_is_refused(opened):
    with pytest.raises(DataError, match="line 2"):
        opened(line(0), line(1)[:-20])


def test_a_wrong_row_of_another_split_is_refused_too(opened):
    with pytest.raises(DataError, match="drive@t0_us"):
        opened(line(0), line(1, split="test", id="other@1"))


def test_a_file_full_of_wrong_rows_gives_a_short_message(opened):
    with pytest.raises(DataError, match="100 rows are no") as found:
        opened(*["{}"] * 100)

    assert str(found.value).endswith("… and 95 more")
    assert str(found.value).count("line ") == 5


@pytest.mark.parametrize("lines", [[], [line(0, split="test"), line(1, weight=0)]])
def test_a_file_without_a_row_to_train_on_is_refused(opened, lines):
    with pytest.raises(DataError, match="nothing to train on"):
        opened(*lines)
