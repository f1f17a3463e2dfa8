"""The folder store beyond what every store does: killed writers, full disks, missing rights, file names."""

import errno
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from eventually import PATIENCE_S

from touge.contract.errors import DataError, InfrastructureError, ObjectNotFound, SettingsError
from touge.storage.local import LocalStore, explained

PUT = "import sys; from pathlib import Path; from touge.storage.local import LocalStore; "
NOBODY = 65534


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


def python(code, *arguments, **options):
    return subprocess.Popen([sys.executable, "-c", PUT + code, *map(str, arguments)], **options)


def files(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_killed_writer_leaves_nothing_that_reads_as_whole(store, tmp_path):
    store.put("a/before", b"old")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = python("LocalStore(Path(sys.argv[1])).put('a/result', Path(sys.argv[2]))", store.root, pipe)
    with pipe.open("wb", buffering=0) as source:
        source.write(b"half of the content")
        writer.send_signal(signal.SIGKILL)
        assert writer.wait(PATIENCE_S) == -signal.SIGKILL

    assert [info.key for info in store.list()] == ["a/before"]
    with pytest.raises(ObjectNotFound):
        store.get("a/result")


def test_a_reader_sees_the_old_content_or_the_new_and_never_a_part(store):
    whole = {bytes([number]) * 300_000 for number in range(8)}
    store.put("a", bytes(300_000))

    def write():
        for content in sorted(whole):
            store.put("a", content)

    writer = threading.Thread(target=write)
    writer.start()
    seen = {store.get("a") for _ in range(200)}
    writer.join()

    assert seen <= whole


def test_a_write_beyond_the_limit_of_the_disk_leaves_nothing(store):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    code = (
        "from touge.contract.errors import InfrastructureError\n"
        "try: LocalStore(Path(sys.argv[1])).put('a/large', bytes(200_000))\n"
        "except InfrastructureError as error: print(error)"
    )
    process = python(code, store.root, stdout=subprocess.PIPE, text=True, preexec_fn=limit)

    assert "Free some space" in process.communicate(timeout=PATIENCE_S)[0]
    assert files(store.root) == []


@pytest.mark.skipif(
    subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode != 0,
    reason="needs a mount namespace of its own",
)
def test_a_full_disk_is_an_infrastructure_error_that_leaves_nothing(tmp_path):
    (tmp_path / "disk").mkdir()
    code = (
        "from touge.contract.errors import InfrastructureError\n"
        "store = LocalStore(Path('disk/store'))\n"
        "store.put('small', b'x')\n"
        "try: store.put('large', bytes(2 << 20))\n"
        "except InfrastructureError as error: print(error)\n"
        "print([info.key for info in store.list()], sorted(p.name for p in store.root.iterdir()))"
    )
    script = 'mount -t tmpfs -o size=1m none disk && exec "$0" "$@"'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, sys.executable, "-c", PUT + code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    message, listing = done.stdout.splitlines()
    assert message == (
        f"file://{tmp_path}/disk/store/large was not written: No space left on device. "
        f"Free some space below {tmp_path}/disk/store"
    )
    assert listing == "['small'] ['small']"


@pytest.mark.parametrize("what", ["store.put('new', b'x')", "store.create('new', b'x')", "store.delete('a/old')"])
def test_a_folder_of_another_user_is_a_setting_to_mend(what):
    code = (
        "import os; from touge.contract.errors import SettingsError\n"
        f"if os.geteuid() == 0: os.seteuid({NOBODY})\n"
        "store = LocalStore(Path(sys.argv[1]))\n"
        f"try: {what}\n"
        "except SettingsError as error: print(error)"
    )
    with tempfile.TemporaryDirectory() as folder:
        store = LocalStore(Path(folder))
        store.put("a/old", b"x")
        for path in (store.root / "a", store.root):
            path.chmod(0o555)
        answer = python(code, store.root, stdout=subprocess.PIPE, text=True).communicate(timeout=PATIENCE_S)[0]
        for path in (store.root, store.root / "a"):
            path.chmod(0o755)

        assert f"Permission denied. Give this user rights to {store.root}" in answer
        assert files(store.root) == ["old"]


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs a file system that refuses folders")
def test_a_read_only_place_is_a_setting_to_mend():
    with pytest.raises(SettingsError, match="choose another"):
        LocalStore(Path("/sys/kernel/touge")).put("a", b"x")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        ("EACCES", SettingsError),
        ("EPERM", SettingsError),
        ("EROFS", SettingsError),
        ("ENOSPC", InfrastructureError),
        ("EDQUOT", InfrastructureError),
        ("EIO", InfrastructureError),
        ("ESTALE", InfrastructureError),
        ("EEXIST", DataError),
    ],
)
def test_a_refusal_has_its_meaning(number, kind):
    code = getattr(errno, number)
    error = explained(OSError(code, os.strerror(code)), "file:///s/a", Path("/s"))

    assert type(error) is kind
    assert "file:///s/a" in str(error)
    assert os.strerror(code) in str(error)


@pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b", "a")])
def test_a_key_that_is_a_folder_of_another_is_refused(store, first, second):
    store.put(first, b"x")

    with pytest.raises(DataError, match="folder of another"):
        store.put(second, b"x")
    assert store.get(first) == b"x"


def test_a_folder_is_no_object(store):
    store.put("a/b", b"x")
    store.delete("a")

    with pytest.raises(ObjectNotFound):
        store.get("a")
    with pytest.raises(ObjectNotFound):
        store.stat("a")
    assert store.get("a/b") == b"x"


def test_a_deleted_object_leaves_no_empty_folder(store):
    store.put("a/b/c", b"x")
    store.put("a/d", b"x")
    store.delete("a/b/c")

    assert [path.name for path in (store.root / "a").iterdir()] == ["d"]


def test_a_key_that_looks_unfinished_is_refused(store):
    with pytest.raises(DataError, match="unfinished"):
        store.put("a/.touge-partial-1", b"x")


def test_the_lock_of_replacements_is_no_object(store):
    first = store.put("pointer", b"one")
    store.replace("pointer", b"two", etag=first.etag)

    assert [info.key for info in store.list()] == ["pointer"]


def test_reading_an_absent_store_makes_no_folder(store):
    assert list(store.list()) == []
    with pytest.raises(ObjectNotFound):
        store.get("a")
    assert not store.root.exists()


def test_versions_of_equal_content_differ(store):
    assert len({store.put("pointer", b"same").etag for _ in range(50)}) == 50


def test_files_are_readable_by_others_of_the_group(store):
    store.put("a", b"x")

    assert oct((store.root / "a").stat().st_mode & 0o777) == "0o644"
