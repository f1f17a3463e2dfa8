"""The light index of shards' rows."""

import json

import pytest

from touge.contract.errors import DataError
from touge.contract.sample import Sample
from touge.curation.index import index_of, lines_of, row_of, sample_of


def sample(rows, drive: str, t0_us: int, **changes) -> Sample:
    return Sample.model_validate(rows.add(drive, t0_us, **changes))


def shard(folder, number: int, *samples: Sample):
    path = folder / f"{number}.jsonl"
    path.write_bytes(b"".join(map(row_of, samples)))
    return path


def test_a_row_comes_back_as_it_was_but_for_its_split(rows):
    one = sample(rows, "a", 2_000_000, notes={"text": "峠\u2028}\n", "nested": {"split": "test"}}, place="pass")
    line = row_of(one)

    assert line.count(b"\n") == 1
    assert "split" not in json.loads(line)
    assert sample_of(line) == one.model_copy(update={"split": "train"})


def test_rows_of_all_shards_are_in_the_order_of_drive_and_time(rows, tmp_path):
    samples = [sample(rows, drive, t0_us) for drive, t0_us in [("b", 3), ("a", 10), ("c", 1), ("a", 9)]]
    entries = index_of([shard(tmp_path, 0, *samples[:2]), shard(tmp_path, 1, *samples[2:])])

    assert [entry.id for entry in entries] == ["a@9", "a@10", "b@3", "c@1"]
    assert [entry.shard for entry in entries] == [1, 0, 0, 1]


def test_every_entry_finds_its_row_again(rows, tmp_path):
    samples = [sample(rows, drive, t0_us) for drive, t0_us in [("b", 3), ("a", 10), ("c", 1), ("a", 9)]]
    shards = [shard(tmp_path, 0, *samples[:2]), shard(tmp_path, 1, *samples[2:])]
    entries = index_of(shards)

    assert [sample_of(line).id for line in lines_of(entries, shards)] == [entry.id for entry in entries]


def test_an_entry_holds_what_the_split_asks_for(rows, tmp_path):
    position = {"frame": "map", "x": 1.5, "y": 2.5, "heading": 0.25}
    one = sample(
        rows,
        "a",
        2_000_000,
        place="pass",
        notes={"position": position},
        label={"config": "jp-2026.1", "kind": "s_curve", "direction": "left", "radius_band": "60-100"},
        reasoning={"text": "x", "language": "en", "source": "dataset"},
    )
    (entry,) = index_of([shard(tmp_path, 0, one)])

    assert (entry.kind, entry.bucket, entry.direction, entry.radius_band) == ("s_curve", "curve", "left", "60-100")
    assert (entry.place, entry.source) == ("pass", "dataset")
    assert (entry.position.frame, entry.position.x, entry.position.y, entry.position.heading) == ("map", 1.5, 2.5, 0.25)
    assert one.images["front_wide"][-1].sha256.startswith(entry.picture.hex())


def test_a_row_without_frames_and_words_has_an_entry_too(rows, tmp_path):
    (entry,) = index_of([shard(tmp_path, 0, sample(rows, "a", 2, images={}))])

    assert (entry.picture, entry.source, entry.place, entry.position) == (b"", "none", None, None)


def test_a_window_that_comes_twice_is_named(rows, tmp_path):
    one = sample(rows, "a", 2)

    with pytest.raises(DataError, match=r"1 windows come twice, first a@2: .* give the drives other names"):
        index_of([shard(tmp_path, 0, one), shard(tmp_path, 1, one)])
