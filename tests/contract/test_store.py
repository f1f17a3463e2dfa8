"""What every store does: over a folder, and over a real HTTP S3 server."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from touge.contract.errors import AlreadyExists, Conflict, DataError, ObjectNotFound
from touge.storage import open_store

segments = st.text("ab.-_0é ", min_size=1, max_size=4).filter(lambda part: part.strip(".") and part == part.strip())
keys = st.lists(segments, min_size=1, max_size=3).map("/".join)


def test_what_is_put_is_read_back(store):
    store.put("a/b.txt", b"first")
    store.put("a/b.txt", b"second")

    assert store.get("a/b.txt") == b"second"


def test_a_file_is_put_by_its_path(store, tmp_path):
    path = tmp_path / "small"
    path.write_bytes(b"from a file")

    assert store.put("small", path).size == 11
    assert store.get("small") == b"from a file"


def test_a_file_of_several_parts_arrives_whole(store, tmp_path):
    path = tmp_path / "large"
    path.write_bytes(bytes(range(256)) * (9 << 12))

    info = store.put("large", path)

    assert info.size == 9 << 20
    with store.open("large") as stream:
        assert path.read_bytes() == b"".join(iter(lambda: stream.read(1 << 20), b""))


def test_a_file_that_is_not_there_is_the_callers_mistake_and_writes_nothing(store, tmp_path):
    with pytest.raises(FileNotFoundError, match="not-there"):
        store.put("a", tmp_path / "not-there")
    assert list(store.list()) == []


@pytest.mark.parametrize(
    ("offset", "length", "content"),
    [
        (0, None, b"0123456789"),
        (3, 4, b"3456"),
        (3, None, b"3456789"),
        (8, 9, b"89"),
        (4, 0, b""),
        (10, 1, b""),
        (99, None, b""),
    ],
)
def test_a_range_is_read_without_the_rest(store, offset, length, content):
    store.put("digits", b"0123456789")

    with store.open("digits", offset=offset, length=length) as stream:
        assert stream.read() == content


def test_a_stream_is_a_file_of_lines(store):
    store.put("lines", b"one\ntwo\n")

    with store.open("lines") as stream:
        assert list(stream) == [b"one\n", b"two\n"]


def test_an_empty_object_is_an_object(store):
    store.put("empty", b"")

    assert store.get("empty") == b""
    assert [info.size for info in store.list()] == [0]


@pytest.mark.parametrize("read", ["get", "open", "stat"])
def test_a_missing_object_is_named(store, read):
    with pytest.raises(ObjectNotFound, match="nowhere/at/all"):
        getattr(store, read)("nowhere/at/all")


def test_no_bytes_of_a_missing_object_are_missing_too(store):
    with pytest.raises(ObjectNotFound):
        store.open("nowhere", offset=3, length=0)


@pytest.mark.parametrize("write", ["put", "create"])
def test_what_a_write_returns_is_what_stat_says(store, write):
    written = getattr(store, write)("a/b", b"content")
    found = store.stat("a/b")

    assert (written.key, written.size, written.etag) == (found.key, found.size, found.etag)
    assert abs(written.modified_us - found.modified_us) <= 2_000_000


def test_a_listing_says_what_stat_says(store):
    store.put("a/b", b"content")

    assert list(store.list("a/")) == [store.stat("a/b")]


def test_an_object_is_created_once(store):
    store.create("mark", b"one")

    with pytest.raises(AlreadyExists):
        store.create("mark", b"two")
    assert store.get("mark") == b"one"


def test_of_many_creators_at_once_exactly_one_wins(store):
    def create(number):
        try:
            store.create("mark", str(number).encode())
        except (AlreadyExists, Conflict):
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        winners = [number for number in pool.map(create, range(8)) if number is not None]

    assert [str(number).encode() for number in winners] == [store.get("mark")]


def test_a_pointer_moves_only_from_the_version_that_was_read(store):
    first = store.put("pointer", b"one")
    store.replace("pointer", b"two", etag=first.etag)

    with pytest.raises(Conflict):
        store.replace("pointer", b"three", etag=first.etag)
    assert store.get("pointer") == b"two"


def test_a_replacement_returns_the_version_to_replace_next(store):
    etag = store.put("pointer", b"one").etag
    for content in (b"two", b"three"):
        etag = store.replace("pointer", content, etag=etag).etag

    assert store.get("pointer") == b"three"


def test_of_many_replacements_of_one_version_exactly_one_wins(store):
    first = store.put("pointer", b"none")

    def replace(number):
        try:
            store.replace("pointer", str(number).encode(), etag=first.etag)
        except Conflict:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        winners = [number for number in pool.map(replace, range(8)) if number is not None]

    assert [str(number).encode() for number in winners] == [store.get("pointer")]


def test_a_pointer_that_is_gone_is_not_replaced(store):
    etag = store.put("pointer", b"one").etag
    store.delete("pointer")

    with pytest.raises(Conflict):
        store.replace("pointer", b"two", etag=etag)
    assert list(store.list()) == []


def test_listing_is_by_prefix_and_in_key_order(store):
    for key in ("b/2", "b/10", "a/1", "bc"):
        store.put(key, b"x")

    assert [info.key for info in store.list("b/")] == ["b/10", "b/2"]
    assert [info.key for info in store.list("b/1")] == ["b/10"]
    assert [info.key for info in store.list("b")] == ["b/10", "b/2", "bc"]
    assert [info.key for info in store.list()] == ["a/1", "b/10", "b/2", "bc"]


def test_listing_nothing_is_empty(store):
    assert list(store.list("nothing/")) == []


def test_deleting_twice_is_fine(store):
    store.put("a", b"x")
    store.delete("a")
    store.delete("a")

    assert list(store.list()) == []


def test_the_same_address_opens_the_same_store(store, request):
    store.put("a", b"x")
    settings = None if store.uri.startswith("file") else request.getfixturevalue("s3_server").settings

    assert open_store(store.uri, settings).get("a") == b"x"


@pytest.mark.parametrize("key", ["", "/a", "a//b", "a/../b", "a/", "./a", "a\nb", "a\0b", "k" * 1025])
@pytest.mark.parametrize("write", ["put", "create"])
def test_a_key_that_some_stores_would_fold_is_refused(store, write, key):
    with pytest.raises(DataError, match="segments"):
        getattr(store, write)(key, b"x")


@pytest.mark.parametrize("prefix", ["/", "a//", "../", "a/../b/"])
def test_a_listing_stays_inside(store, prefix):
    with pytest.raises(DataError, match="segments"):
        list(store.list(prefix))


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(keys, st.binary(max_size=20), max_size=4))
def test_a_store_is_a_dictionary_of_its_keys(store, content):
    flat = {key: data for key, data in content.items() if not any(other.startswith(f"{key}/") for other in content)}
    for info in list(store.list()):
        store.delete(info.key)

    for key, data in flat.items():
        store.put(key, data)

    assert [info.key for info in store.list()] == sorted(flat)
    assert {key: store.get(key) for key in flat} == flat


def test_writing_and_deleting_beside_one_another_loses_nothing(store):
    def write_and_delete(number):
        for turn in range(10):
            store.put(f"a/b/{number}", b"x")
            if turn < 9 or number % 2:
                store.delete(f"a/b/{number}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write_and_delete, range(4)))

    assert [info.key for info in store.list()] == ["a/b/0", "a/b/2"]
