"""The pictures of a sample, from shards in a store."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image
from tiny_training import sample_row

from touge.contract.errors import DataError
from touge.contract.sample import Sample
from touge.storage import open_store
from touge.storage.shards import ShardReader
from touge.training.frames import FrameSource


def png(value):
    out = io.BytesIO()
    Image.fromarray(np.full((2, 4, 3), value, np.uint8)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def store(tmp_path):
    return open_store(f"file://{tmp_path}")


@pytest.fixture
def sample(store):
    """Store pictures and return a sample that refers to them, four a camera."""

    def write(number=0, **cameras):
        refs = {}
        for camera, given in cameras.items():
            contents = list(given)
            for index, content in enumerate(contents):
                store.put(f"{number}-{camera}-{index}", content)
            refs[camera] = [
                {"path": f"{number}-{camera}-{i}", "t_us": i, "sha256": hashlib.sha256(content).hexdigest()}
                for i, content in enumerate(contents)
            ]
        return Sample.model_validate(sample_row(number, refs))

    return write


@pytest.fixture
def source(store):
    return FrameSource(ShardReader(store))


def read(source, sample):
    return source.frames(sample.id, lambda: sample)


def test_frames_come_camera_by_camera_in_the_models_order_oldest_first(source, sample):
    given = sample(front_tele=map(png, range(4, 8)), cross_left=map(png, range(4)))

    frames = read(source, given)

    assert list(range(8)) == [int(frame[0, 0, 0]) for frame in frames]
    assert {(2, 4, 3)} == {frame.shape for frame in frames}


def test_a_frame_that_is_not_the_curated_one_is_refused(source, sample, store):
    given = sample(front_wide=[png(1)] * 4)
    store.put("0-front_wide-2", png(2))

    with pytest.raises(DataError, match=r"0-front_wide-2.*sha256"):
        read(source, given)


@pytest.mark.parametrize("content", [b"no picture", png(3)[:40], b""], ids=["text", "cut", "empty"])
def test_a_frame_that_is_no_picture_is_refused(source, sample, content):
    with pytest.raises(DataError, match=r"0-front_wide-3: no readable picture"):
        read(source, sample(front_wide=[png(1), png(2), png(3), content]))


def test_a_frame_that_is_missing_is_refused(source, sample, store):
    given = sample(front_wide=[png(1)] * 4)
    store.delete("0-front_wide-0")

    with pytest.raises(DataError, match="0-front_wide-0"):
        read(source, given)


def test_a_sample_without_frames_of_a_known_camera_is_refused(source, sample):
    with pytest.raises(DataError, match=r"drive@0.*front_wide"):
        read(source, sample(rear_mirror=[png(1)] * 4))


def test_frames_are_read_once_while_memory_lasts(store, sample):
    room_for_one = FrameSource(ShardReader(store), kept_bytes=4 * 2 * 4 * 3)
    first, second = (sample(number, front_wide=[png(number)] * 4) for number in (0, 1))
    before = [read(room_for_one, one) for one in (first, second)]
    for index in range(4):
        store.delete(f"0-front_wide-{index}")
        store.delete(f"1-front_wide-{index}")

    assert read(room_for_one, first) is before[0]
    with pytest.raises(DataError, match="1-front_wide-0"):
        read(room_for_one, second)
