"""Frames in tars with an index."""

import contextlib
import hashlib

import pytest

from touge.curation.archive import Archive
from touge.storage import open_store
from touge.storage.shards import ShardReader


@pytest.fixture
def store(tmp_path):
    return open_store(f"file://{tmp_path}/store")


@pytest.fixture
def archive(tmp_path, store):
    (tmp_path / "scratch").mkdir()
    return Archive(tmp_path / "scratch", lambda path: store.put(path.name, path), limit=3000)


def test_every_frame_is_found_again(archive, store):
    with archive:
        paths = {archive.add(f"drive/{number}.jpg", bytes([number]) * 1000): number for number in range(7)}
    reader = ShardReader(store)

    assert all(reader.read(path) == bytes([number]) * 1000 for path, number in paths.items())


def test_a_tar_is_bounded(archive, store):
    with archive:
        for number in range(7):
            archive.add(f"{number}.jpg", bytes(1000))

    assert [info.key for info in store.list() if info.key.endswith(".tar")] == [
        "images-00000.tar",
        "images-00001.tar",
        "images-00002.tar",
    ]


def test_scratch_space_is_given_back(archive):
    with archive:
        archive.add("a.jpg", bytes(1000))

    assert list(archive.folder.iterdir()) == []


def test_equal_frames_make_equal_tars(tmp_path):
    digests = []
    for _ in range(2):
        with Archive(tmp_path, lambda path: digests.append(hashlib.sha256(path.read_bytes()).hexdigest())) as archive:
            archive.add("drive/1.jpg", b"frame")
            archive.add(f"drive/{'x' * 200}.jpg", b"long name")

    assert digests[:2] == digests[2:]


def test_after_an_error_nothing_is_published(tmp_path):
    published = []
    archive = Archive(tmp_path, published.append)
    with contextlib.suppress(KeyError), archive:
        archive.add("a.jpg", b"frame")
        raise KeyError

    assert published == []
    assert list(tmp_path.iterdir()) == []
