"""Rows that were made elsewhere."""

import hashlib
import io
import tarfile

import numpy as np
import pytest
from curating import painted, rules
from PIL import Image

from touge.contract.errors import DataError
from touge.curation import brought
from touge.curation.archive import Archive
from touge.curation.brought_frames import BroughtFrames
from touge.curation.pictures import decoded
from touge.drives.readers.jsonl import read_samples
from touge.motion.definitions import definition
from touge.storage import open_store
from touge.storage.shards import ShardReader, TarIndex


@pytest.fixture
def store(tmp_path):
    return open_store(f"file://{tmp_path}/store")


@pytest.fixture
def outcomes(tmp_path, store, rows):
    """Return what becomes of the rows, their frames stored."""

    def run(**changes):
        scratch = tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        rows.section()
        frames = BroughtFrames(open_store(f"file://{rows.folder}"), scratch)
        with Archive(scratch, lambda path: store.put(path.name, path)) as archive:
            found = read_samples(f"file://{rows.folder}")
            return list(brought.outcomes(found, rules(**changes), archive, frames))

    return run


def reasons(found) -> list[list[str]]:
    return [[rejection.reason for rejection in outcome.rejections] for outcome in found]


def packed(rows, name: str = "frames.tar", mode: str = "w") -> None:
    """Move all frames of the rows into one tar."""
    with tarfile.open(rows.folder / name, mode) as tar:
        for row in rows.rows:
            for frames in row["images"].values():
                for frame in frames:
                    tar.add(rows.folder / frame["path"], frame["path"])
                    (rows.folder / frame["path"]).unlink()
                    frame["path"] = f"{name}#{frame['path']}"


def replaced(rows, frame: dict, data: bytes) -> None:
    """Write another content to a frame, and its digest to the row."""
    (rows.folder / frame["path"]).write_bytes(data)
    frame["sha256"] = hashlib.sha256(data).hexdigest()


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def test_features_and_label_are_those_of_the_recipe(outcomes, rows):
    rows.add("a", 2_000_000, 0.01)
    rows.add("a", 3_000_000, 0.0)
    found = [outcome.sample for outcome in outcomes()]

    assert [(one.label.config, one.label.kind, one.label.direction) for one in found] == [
        ("jp-2026.1", "curve", "left"),
        ("jp-2026.1", "straight", "none"),
    ]
    assert all(one.label == definition("jp-2026.1").label(np.array(one.future)) for one in found)
    assert found[0].features["heading_change"] == pytest.approx(0.64)


def test_weight_and_split_are_decided_anew(outcomes, rows):
    rows.add("a", 2_000_000, weight=7.0, split="validation")
    (outcome,) = outcomes()

    assert (outcome.sample.weight, outcome.sample.split) == (1.0, "train")


def test_words_place_notes_and_provenance_are_kept(outcomes, rows):
    reasoning = {"text": "左カーブに沿って走る。", "language": "ja", "source": "dataset"}
    row = rows.add("a", 2_000_000, reasoning=reasoning, place="pass", notes={"weather": "fog"})
    sample = outcomes()[0].sample

    assert sample.reasoning.model_dump() == reasoning
    assert (sample.place, sample.notes) == ("pass", {"weather": "fog"})
    assert sample.provenance.model_dump() == row["provenance"]


def test_a_row_without_words_gets_them_like_a_recorded_window(outcomes, rows):
    rows.add("a", 2_000_000, 0.01)
    rows.add("a", 3_000_000, 0.0)

    assert [outcome.sample.reasoning is None for outcome in outcomes()] == [False, True]


def test_frames_of_the_models_size_are_copied_as_they_are(outcomes, rows, store):
    row = rows.add("a", 2_000_000)
    (outcome,) = outcomes()

    for before, after in zip(row["images"]["front_wide"], outcome.sample.images["front_wide"], strict=True):
        assert (after.t_us, after.sha256) == (before["t_us"], before["sha256"])
        assert ShardReader(store).read(after.path) == (rows.folder / before["path"]).read_bytes()


def test_larger_frames_are_made_smaller_with_their_camera(outcomes, rows, store):
    lens = {"fx": 100.0, "fy": 100.0, "cx": 63.5, "cy": 31.5}
    pose = np.eye(4).ravel().tolist()
    model = {"model": "pinhole", "intrinsics": lens, "ego_from_camera": pose, "width": 128, "height": 64}
    row = rows.add("a", 2_000_000, cameras={"front_wide": model, "rear_tele": model})
    for number, frame in enumerate(row["images"]["front_wide"]):
        replaced(rows, frame, png(painted(number, (64, 128))))
    (outcome,) = outcomes()

    refs = outcome.sample.images["front_wide"]
    for ref in refs:
        data = ShardReader(store).read(ref.path)
        assert decoded(data, "x").shape == (32, 64, 3)
        assert hashlib.sha256(data).hexdigest() == ref.sha256
    assert list(outcome.sample.cameras) == ["front_wide"]
    assert outcome.sample.cameras["front_wide"].width == 64


def test_frames_may_lie_in_a_tar_without_an_index(outcomes, rows, tmp_path):
    rows.add_drive("a")
    packed(rows)

    assert reasons(outcomes()) == [[], [], []]
    assert not (tmp_path / "scratch" / "brought.tar").exists()


def test_frames_may_lie_in_a_tar_with_an_index(outcomes, rows):
    rows.add_drive("a")
    packed(rows)
    (rows.folder / "frames.tar.idx.json").write_text(TarIndex.of(rows.folder / "frames.tar").to_json())

    assert reasons(outcomes()) == [[], [], []]


def swerve(future: list) -> list:
    return [[x, y + 3.0 * (step > 30), yaw] for step, (x, y, yaw) in enumerate(future)]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda row: {"future": swerve(row["future"])}, "jerk"),
        (lambda row: {"future": [[x, -y, yaw] for x, y, yaw in row["future"]]}, "yaw_mismatch"),
        (lambda row: {"images": {}}, "missing_camera"),
        (lambda row: {"images": {"rear_tele": row["images"]["front_wide"]}}, "missing_camera"),
        (
            lambda row: {
                "images": {"front_wide": [one | {"t_us": one["t_us"] - 60_000} for one in row["images"]["front_wide"]]}
            },
            "missing_frames",
        ),
        (
            lambda row: {"images": {"front_wide": [row["images"]["front_wide"][number] for number in (0, 1, 3, 2)]}},
            "missing_frames",
        ),
        (
            lambda row: {"reasoning": {"text": "Follow the right curve.", "language": "en", "source": "dataset"}},
            "contradiction",
        ),
    ],
    ids=["jump", "mirrored", "no frames", "another camera", "other times", "out of order", "contradiction"],
)
def test_a_bad_row_is_rejected_by_name_and_the_next_one_is_kept(change, expected, outcomes, rows):
    row = rows.add("a", 2_000_000)
    row |= change(row)
    rows.add("a", 3_000_000)
    first, second = outcomes()

    assert (first.id, first.sample) == ("a@2000000", None)
    assert expected in [rejection.reason for rejection in first.rejections]
    assert second.sample is not None


@pytest.mark.parametrize(
    ("pixels", "expected"), [(np.zeros((32, 64, 3), np.uint8), "black_frames"), (None, "frozen_frames")]
)
def test_frames_of_a_row_are_judged(pixels, expected, outcomes, rows):
    row = rows.add("a", 2_000_000)
    frames = row["images"]["front_wide"]
    same = (rows.folder / frames[1]["path"]).read_bytes()
    replaced(rows, frames[2], same if pixels is None else png(pixels))

    assert reasons(outcomes()) == [[expected]]


def test_tighter_than_the_model_can_steer_is_rejected(outcomes, rows):
    rows.add("a", 2_000_000, 0.25, 4.0)

    assert reasons(outcomes()) == [["curvature"]]


CONTRADICTING = {"reasoning": {"text": "右カーブに沿って減速する。", "language": "ja", "source": "dataset"}}


def test_a_contradiction_is_rejected_with_what_is_said_and_driven(outcomes, rows):
    rows.add("a", 2_000_000, 0.01, **CONTRADICTING)
    (outcome,) = outcomes()

    assert outcome.rejections[0].reason == "contradiction"
    assert outcome.rejections[0].detail == "says '右カーブ', drives curve to the left"


def test_a_contradiction_is_kept_and_marked_where_the_recipe_says_so(outcomes, rows):
    rows.add("a", 2_000_000, 0.01, **CONTRADICTING)
    (outcome,) = outcomes(contradictions="keep")

    assert outcome.contradicts
    assert outcome.sample.reasoning.text == CONTRADICTING["reasoning"]["text"]


def test_a_missing_frame_names_its_row(outcomes, rows):
    row = rows.add("a", 2_000_000)
    (rows.folder / row["images"]["front_wide"][2]["path"]).unlink()

    with pytest.raises(DataError, match=r"^a@2000000: frames/a/1900000\.png"):
        outcomes()


def test_a_frame_that_is_not_the_one_names_its_row(outcomes, rows):
    row = rows.add("a", 2_000_000)
    (rows.folder / row["images"]["front_wide"][2]["path"]).write_bytes(png(painted(99)))

    with pytest.raises(DataError, match=r"^a@2000000: frames/a/1900000\.png is not the frame that the row names"):
        outcomes()


def test_a_damaged_picture_names_its_row(outcomes, rows):
    row = rows.add("a", 2_000_000)
    replaced(rows, row["images"]["front_wide"][2], b"\x89PNG\r\n\x1a\nnothing else")

    with pytest.raises(DataError, match=r"^a@2000000, frames/a/1900000\.png: no readable JPEG or PNG"):
        outcomes()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: data[: len(data) // 2 + 100], "no readable uncompressed tar|no member"),
        (lambda data: b"x" * len(data), "no readable uncompressed tar"),
        (lambda data: data[:-10240] + bytes(10240), "is not the frame that the row names|no member"),
    ],
    ids=["cut short", "no tar", "emptied"],
)
def test_a_damaged_tar_names_the_row(damage, said, outcomes, rows):
    rows.add_drive("a", windows=9)
    packed(rows)
    tar = rows.folder / "frames.tar"
    tar.write_bytes(damage(tar.read_bytes()))

    with pytest.raises(DataError, match=rf"^a@\d+: .*({said})"):
        outcomes()


def test_a_compressed_tar_is_refused(outcomes, rows):
    rows.add("a", 2_000_000)
    packed(rows, mode="w:gz")

    with pytest.raises(DataError, match=r"^a@2000000: .*frames\.tar is no readable uncompressed tar"):
        outcomes()


@pytest.mark.parametrize("index", [True, False])
def test_a_missing_member_names_its_row(index, outcomes, rows):
    row = rows.add("a", 2_000_000)
    packed(rows)
    row["images"]["front_wide"][0]["path"] = "frames.tar#other.png"
    if index:
        (rows.folder / "frames.tar.idx.json").write_text(TarIndex.of(rows.folder / "frames.tar").to_json())

    with pytest.raises(DataError, match=r"^a@2000000: .*no member 'other\.png' among 4"):
        outcomes()


def test_a_missing_tar_names_the_row(outcomes, rows):
    row = rows.add("a", 2_000_000)
    row["images"]["front_wide"][0]["path"] = "gone.tar#a.png"

    with pytest.raises(DataError, match=r"^a@2000000: .*gone\.tar does not exist"):
        outcomes()


def test_a_path_out_of_the_folder_is_refused(outcomes, rows, tmp_path):
    row = rows.add("a", 2_000_000)
    (tmp_path / "secret.png").write_bytes(png(painted(1)))
    row["images"]["front_wide"][0]["path"] = "../secret.png"

    with pytest.raises(DataError, match=r"a@2000000.*\.\./secret\.png"):
        outcomes()


@pytest.mark.parametrize("column", ["history", "future"])
def test_a_row_with_a_number_that_is_none_is_an_error_that_names_its_line(column, outcomes, rows):
    rows.add("a", 2_000_000)
    row = rows.add("a", 3_000_000)
    row[column][3][0] = float("nan")

    with pytest.raises(DataError, match=rf"1 invalid rows of touge.sample/1\n  - samples.jsonl:2: {column}"):
        outcomes()


def test_a_wrong_position_names_its_row(outcomes, rows):
    rows.add("a", 2_000_000, notes={"position": {"frame": "map"}})

    with pytest.raises(DataError, match=r"a@2000000: notes.position: x: missing"):
        outcomes()
