"""Objects of a store as files."""

import zipfile

import pytest

from touge.contract.errors import DataError
from touge.drives.ranged import RangedFile, read_member, read_object
from touge.storage import open_store
from touge.storage.local import LocalStore


class CountingStore(LocalStore):
    """Counts the bytes that are read."""

    read = 0

    def open(self, key, *, offset=0, length=None):
        self.read += length or 0
        return super().open(key, offset=offset, length=length)


def test_any_part_can_be_read(tmp_path):
    (tmp_path / "digits").write_bytes(b"0123456789")
    file = RangedFile(open_store(f"file://{tmp_path}"), "digits")

    file.seek(-4, 2)
    assert file.read(2) == b"67"
    file.seek(-1, 1)
    assert file.read() == b"789"
    assert file.tell() == 10
    assert file.read(5) == b""


def test_a_member_costs_its_own_bytes_only(tmp_path):
    with zipfile.ZipFile(tmp_path / "chunk.zip", "w") as archive:
        for name in "abcdefgh":
            archive.writestr(name, name.encode() * 1_000_000)
    store = CountingStore(tmp_path)

    assert read_member(store, "chunk.zip", "e") == b"e" * 1_000_000
    assert store.read < 2_000_000


def test_a_missing_object_is_missing_data(tmp_path):
    with pytest.raises(DataError, match=r"nothing.csv is missing; download"):
        read_object(open_store(f"file://{tmp_path}"), "nothing.csv")
